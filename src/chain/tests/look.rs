use super::*;

const TOKEN: &str = "eyJh.eyJB.c2ln";

/// What a node with this token says of its permissions.
fn access(token: bool, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Access {
    let server = node(move |method, params| {
        if matches!(method, "WalletHas" | "WalletSign") {
            let asked = params[0].as_str().unwrap();
            assert!(asked.starts_with("f1"), "{asked}");
        }
        answer(method)
    });
    let entry = if token {
        format!("{TOKEN}:{}", server.url())
    } else {
        server.url()
    };
    Node::new(&entry, Limits::default())
        .unwrap()
        .access()
        .unwrap()
}

fn forbidden() -> Reply {
    Reply::Error(200, 1, "missing permission to invoke 'WalletX' (need 'x')")
}

fn no_method() -> Reply {
    Reply::Error(500, -32_601, "method 'Filecoin.X' not found")
}

#[test]
fn a_token_is_asked_about_and_tried() {
    let with = |list: &'static str| {
        access(true, move |method| match method {
            "WalletHas" => Reply::Result(json!(false)),
            "AuthVerify" => Reply::Result(serde_json::from_str(list).unwrap()),
            other => unknown(other),
        })
    };
    assert_eq!(with(r#"["read","write","sign"]"#).sign, May::Yes);
    assert_eq!(with(r#"["read","write"]"#).sign, May::No);
    let small = access(true, |method| match method {
        "WalletHas" => forbidden(),
        _ => Reply::Result(json!(["read"])),
    });
    assert_eq!((small.write, small.sign), (May::No, May::No));
}

#[test]
fn where_tokens_are_not_told_of_signing_is_tried_with_a_key_of_nobody() {
    let missing = "signing using key 'f1': key info not found";
    let table = [
        (Reply::Error(200, 1, missing), May::Yes),
        (Reply::Error(200, -32_603, missing), May::Yes),
        (forbidden(), May::No),
        (Reply::Error(200, -32_003, "Permission denied"), May::No),
        (no_method(), May::NotThere),
    ];
    for (sign, expected) in table {
        for token in [false, true] {
            let sign = sign.clone();
            let access = access(token, move |method| match method {
                "WalletHas" => Reply::Result(json!(false)),
                "AuthVerify" => no_method(),
                "WalletSign" => sign.clone(),
                other => unknown(other),
            });
            assert_eq!((access.write, access.sign), (May::Yes, expected.clone()));
        }
    }
    // Venus wants another parameter.
    let venus = access(false, |method| match method {
        "WalletHas" => Reply::Result(json!(false)),
        _ => Reply::Error(500, -32_602, "wrong param count"),
    });
    assert!(matches!(venus.sign, May::Unknown(_)));
    // A gateway.
    let gateway = access(false, |_| no_method());
    assert_eq!(
        (gateway.write, gateway.sign),
        (May::NotThere, May::NotThere)
    );
}

#[test]
fn a_node_that_cannot_be_asked_has_no_permissions() {
    let server = Server::start(|_| Reply::text(401, ""));
    let entry = format!("{TOKEN}:{}", server.url());
    let error = Node::new(&entry, Limits::default()).unwrap().access();
    assert_eq!(error, Err(ChainError::Unauthorized));
}
