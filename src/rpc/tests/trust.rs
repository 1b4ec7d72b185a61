use crate::rpc::Authorities;
use crate::rpc::trust::handshake_failure;

/// Base64 of something that is no certificate: only a handshake finds that out.
const BLOCK: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

#[test]
fn certificates_are_taken_from_among_anything_else() {
    let count = |pem: &str| Authorities::from_pem(pem.as_bytes()).map(|all| format!("{all:?}"));
    assert_eq!(count(BLOCK).as_deref(), Ok("Authorities(1)"));
    let key = BLOCK.replace("CERTIFICATE", "PRIVATE KEY");
    let mixed = format!("a comment\n{BLOCK}{key}\n{BLOCK}");
    assert_eq!(count(&mixed).as_deref(), Ok("Authorities(2)"));
    for none in ["", "hello", &key, "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        assert!(count(none).is_err(), "{none}");
    }
    assert!(count(&BLOCK.replace("AAAA", "no base64!")).is_err());
}

#[test]
fn a_file_is_not_read_without_end() {
    let file = std::env::temp_dir().join(format!("coracle-ca-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, BLOCK.repeat(3)).unwrap();
    let read = Authorities::read(&file);
    let long = vec![b'\n'; (4 << 20) + 1];
    std::fs::write(&file, long).unwrap();
    let too_long = Authorities::read(&file).unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(format!("{:?}", read.unwrap()), "Authorities(3)");
    assert_eq!(too_long, "has more than 4194304 bytes");
    assert!(Authorities::read(&file).is_err());
    assert!(
        Authorities::read(&std::env::temp_dir()).is_err(),
        "a directory"
    );
}

#[test]
fn what_can_be_done_about_a_handshake_is_said() {
    let advice = |text: &str| handshake_failure(text);
    let unknown = advice("invalid peer certificate: UnknownIssuer");
    assert!(unknown.contains("CORACLE_CA_FILE"), "{unknown}");
    let authority = advice("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
    assert!(
        authority.contains("that the authority has signed"),
        "{authority}"
    );
    let plain = advice("received corrupt message of type InvalidContentType");
    assert!(plain.contains("http instead of https"), "{plain}");
    assert_eq!(advice("received fatal alert"), "TLS: received fatal alert");
}
