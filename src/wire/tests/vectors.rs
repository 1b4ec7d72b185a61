//! Every vector of spec boost-mk12 1.8, written and read.

use super::{hex, params, proposal, signature, signed, uuid};
use crate::filecoin::{Address, Label, TokenAmount, cids};
use crate::wire::{
    AskRequest, AskResponse, DealParams, DealResponse, DealStatus, DealStatusRequest,
    DealStatusResponse, SignedAsk, StorageAsk, Transfer, Transport, Transports,
};

const PROPOSAL: &str =
    "8bd82a5828000181e2039220200102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20
    1b0000000800000000f555011111111111111111111111111111111111111111
    4300e8076a746573742d6c6162656c1a001e84801a00266d80404800038d7ea4c6800040";

const PARAMS_1_2_1: &str = "a7684465616c555549445000112233445566778899aabbccddeeff685472616e73666572a46453697a651a000f424064
    54797065646874747066506172616d7358327b2255524c223a2268747470733a2f2f6578616d706c652e636f6d2f612e
    636172222c2248656164657273223a6e756c6c7d68436c69656e744944606949734f66666c696e65f46c4465616c4461
    7461526f6f74d82a582500017012204813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b270
    536b697049504e49416e6e6f756e6365f472436c69656e744465616c50726f706f73616c828bd82a5828000181e20392
    20200102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f201b0000000800000000f555011111
    1111111111111111111111111111111111114300e8076a746573742d6c6162656c1a001e84801a00266d80404800038d
    7ea4c6800040584201aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa7252656d6f7665556e7365616c6564436f7079f4";

const STATUS: &str = "a7654572726f7260665374617475736841636365707465646850726f706f73616c8bd82a5828000181e2039220200102
    030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f201b0000000800000000f55501111111111111
    11111111111111111111111111114300e8076a746573742d6c6162656c1a001e84801a00266d80404800038d7ea4c680
    00406a5075626c697368436964f66b436861696e4465616c4944006d5365616c696e6753746174757360715369676e65
    6450726f706f73616c436964d82a58250001711220797daadb41237dc35b86e043004eb1b0a511ad401701e9419c77be
    0d0c760690";

const ASK: &str =
    "a8654d696e65724300e807655072696365450002faf080655365714e6f00664578706972791a002dc6c0
    6954696d657374616d701a001e84806c4d6178506965636553697a651b00000008000000006c4d696e50696563
    6553697a651901006d5665726966696564507269636544004c4b40";

fn ask() -> StorageAsk {
    StorageAsk {
        miner: Address::id(1000),
        price: TokenAmount::from_atto(50_000_000),
        seq_no: 0,
        expiry: 3_000_000,
        timestamp: 2_000_000,
        max_piece_size: 32 << 30,
        min_piece_size: 256,
        verified_price: TokenAmount::from_atto(5_000_000),
    }
}

#[test]
fn proposal_and_its_two_names() {
    assert_eq!(proposal().encode(), hex(PROPOSAL));
    assert_eq!(
        proposal().piece_cid.to_string(),
        "baga6ea4seaqacaqdaqcqmbyibefawdanbyhraeiscmkbkfqxdamrugy4dupb6ia"
    );
    assert_eq!(
        proposal().cid().to_string(),
        "bafy2bzaceb2qtqpyxkeu5yaaavlfkfqrzugsbzjbdibe6xjm2mgv4nhqckz2u"
    );
    let expected = [hex("82"), hex(PROPOSAL), hex("584201"), vec![0xaa; 65]].concat();
    assert_eq!(signed().encode(), expected);
    assert_eq!(
        signed().signed_cid().to_string(),
        "bafyreidzpwvnwqjdpxbvxbxaimae5mnquui22qaxahuudhdxxygqy5qgsa"
    );
}

#[test]
fn deal_params_of_seven_keys() {
    let bytes = hex(PARAMS_1_2_1);
    assert_eq!(bytes.len(), 430);
    assert_eq!(params().encode(), bytes);
    assert_eq!(DealParams::decode(&bytes).unwrap(), params());
}

#[test]
fn deal_params_of_five_keys() {
    let bytes = params().encode_five();
    assert_eq!(bytes.len(), 392);
    assert_eq!(bytes[0], 0xa5);
    assert_eq!(DealParams::decode(&bytes).unwrap(), params());
}

#[test]
fn an_offline_transfer_is_the_zero_value() {
    let mut offline = params();
    offline.offline = true;
    offline.transfer = Transfer::default();
    let bytes = offline.encode();
    let expected = hex("685472616e73666572
        a46453697a650064547970656066506172616d734068436c69656e74494460
        6949734f66666c696e65f5");
    assert!(bytes.windows(expected.len()).any(|part| part == expected));
    assert_eq!(DealParams::decode(&bytes).unwrap(), offline);
}

#[test]
fn deal_responses() {
    let check = |accepted, message: &str, expected| {
        let response = DealResponse {
            accepted,
            message: message.into(),
        };
        assert_eq!(response.encode(), hex(expected));
        assert_eq!(DealResponse::decode(&hex(expected)).unwrap(), response);
    };
    check(true, "", "a2674d65737361676560684163636570746564f5");
    check(false, "no", "a2674d657373616765626e6f684163636570746564f4");
}

#[test]
fn deal_status_request() {
    let request = DealStatusRequest {
        uuid: uuid(),
        signature: signature(),
    };
    let head = "a2684465616c555549445000112233445566778899aabbccddeeff695369676e6174757265584201";
    let bytes = [hex(head), vec![0xaa; 65]].concat();
    assert_eq!(request.encode(), bytes);
    assert_eq!(DealStatusRequest::decode(&bytes).unwrap(), request);
}

#[test]
fn deal_status_response_with_an_error() {
    let response = DealStatusResponse {
        error: "x".into(),
        uuid: uuid(),
        ..DealStatusResponse::default()
    };
    let bytes = hex(
        "a6654572726f726178684465616c555549445000112233445566778899aabbccddeeff
        6949734f66666c696e65f46a4465616c537461747573f66c5472616e7366657253697a65006e4e4279746573
        526563656976656400",
    );
    assert_eq!(response.encode(), bytes);
    assert_eq!(DealStatusResponse::decode(&bytes).unwrap(), response);
}

#[test]
fn deal_status_response_with_a_status() {
    let mut response = DealStatusResponse {
        uuid: uuid(),
        status: Some(DealStatus {
            error: String::new(),
            status: "Accepted".into(),
            proposal: proposal(),
            publish_cid: None,
            chain_deal_id: 0,
            sealing_status: String::new(),
            signed_proposal_cid: signed().signed_cid(),
        }),
        ..DealStatusResponse::default()
    };
    let bytes = response.encode();
    let status = hex(STATUS);
    let place = bytes.windows(status.len()).position(|part| part == status);
    assert!(place.is_some(), "the status as in the vectors");
    assert_eq!(DealStatusResponse::decode(&bytes).unwrap(), response);
    // Published: the CID and the deal's number take the places of null and zero.
    let status = response.status.as_mut().unwrap();
    status.publish_cid = Some(cids::chain_cid(b"message"));
    status.chain_deal_id = 77;
    let bytes = response.encode();
    assert_eq!(DealStatusResponse::decode(&bytes).unwrap(), response);
}

#[test]
fn ask_request_and_the_null_answer() {
    let request = AskRequest {
        miner: Some(Address::id(1000)),
    };
    assert_eq!(request.encode(), hex("a1654d696e65724300e807"));
    assert_eq!(AskRequest::decode(&request.encode()).unwrap(), request);
    let nobody = AskResponse { ask: None };
    assert_eq!(nobody.encode(), hex("a16341736bf6"));
    assert_eq!(AskResponse::decode(&hex("a16341736bf6")).unwrap(), nobody);
}

#[test]
fn storage_ask() {
    assert_eq!(ask().encode(), hex(ASK));
    assert_eq!(StorageAsk::decode(&hex(ASK)).unwrap(), ask());
    let response = AskResponse {
        ask: Some(SignedAsk {
            ask: Some(ask()),
            signature: Some(signature()),
        }),
    };
    let expected = [
        hex("a16341736ba26341736b"),
        hex(ASK),
        hex("695369676e6174757265584201"),
        vec![0xaa; 65],
    ]
    .concat();
    assert_eq!(response.encode(), expected);
    assert_eq!(AskResponse::decode(&expected).unwrap(), response);
    let hollow = AskResponse {
        ask: Some(SignedAsk {
            ask: None,
            signature: None,
        }),
    };
    let expected = hex("a16341736ba26341736bf6695369676e6174757265f6");
    assert_eq!(hollow.encode(), expected);
    assert_eq!(AskResponse::decode(&expected).unwrap(), hollow);
}

#[test]
fn retrieval_transports() {
    let transports = Transports(vec![Transport {
        name: "http".into(),
        addresses: vec![hex("0401020304 0604d2")],
    }]);
    let bytes = hex(
        "a16950726f746f636f6c7381a2644e616d65646874747069416464726573736573814804010203040604d2",
    );
    assert_eq!(transports.encode(), bytes);
    assert_eq!(Transports::decode(&bytes).unwrap(), transports);
    let address: libp2p::Multiaddr = "/ip4/1.2.3.4/tcp/1234".parse().unwrap();
    assert_eq!(transports.0[0].addresses[0], address.to_vec());
    assert_eq!(
        Transports::default().encode(),
        hex("a16950726f746f636f6c7380")
    );
}

#[test]
fn amounts_and_labels() {
    let written = |amount: i64, label: Label| {
        let mut changed = proposal();
        changed.client_collateral = TokenAmount::from_atto(amount);
        changed.label = label;
        changed.encode()
    };
    let text = || Label::Text(String::new());
    for (amount, expected) in [(0, "40"), (1, "420001"), (255, "4200ff"), (-1, "420101")] {
        assert!(
            written(amount, text()).ends_with(&hex(expected)),
            "{amount}"
        );
    }
    for (label, expected) in [
        (Label::Bytes(vec![1, 2]), "420102"),
        (text(), "60"),
        (Label::Bytes(Vec::new()), "40"),
    ] {
        // Between the provider's address and the start.
        let place = [hex("4300e807"), hex(expected), hex("1a001e8480")].concat();
        let bytes = written(0, label);
        assert!(bytes.windows(place.len()).any(|part| part == place));
    }
}
