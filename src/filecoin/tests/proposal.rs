//! Deal proposals: spec boost-mk12 1.8, chain-sealer-rpc D.3.

use super::{address, hex};
use crate::filecoin::cbor::CborError;
use crate::filecoin::{
    ClientDealProposal, DealProposal, Label, Signature, SignatureKind, TokenAmount, cids,
};

/// The proposal of spec boost-mk12 1.8.
const PROPOSAL: &str = "8bd82a5828000181e2039220200102030405060708090a0b0c0d0e0f1011121314151617\
    18191a1b1c1d1e1f201b0000000800000000f555011111111111111111111111111111111111111111\
    4300e8076a746573742d6c6162656c1a001e84801a00266d80404800038d7ea4c6800040";

/// The proposal of spec chain-sealer-rpc D.3.
const CHAIN_PROPOSAL: &str = "8bd82a5828000181e203922020de6815dcb348843215a94de532954b60be550a4bec\
    6e74555665e9a5ec4e0f3c1b0000000800000000f555013ecade4b574f8853f106757873dee81b5b3968ec4300d209\
    6d6578616d706c652d6c6162656c1a004f58801a006683c04048001e32b47897400040";

/// The proposal of spec boost-mk12 1.8 as values.
pub fn proposal() -> DealProposal {
    let mut commitment = [0; 32];
    for (n, byte) in (1..).zip(&mut commitment) {
        *byte = n;
    }
    let mut client = vec![1];
    client.extend([0x11; 20]);
    DealProposal {
        piece_cid: cids::piece_cid(&commitment),
        piece_size: 34_359_738_368,
        verified: true,
        client: crate::filecoin::Address::from_bytes(&client).expect("20 bytes"),
        provider: address("f01000"),
        label: Label::Text("test-label".into()),
        start_epoch: 2_000_000,
        end_epoch: 2_518_400,
        price_per_epoch: TokenAmount::zero(),
        provider_collateral: TokenAmount::from_atto(1_000_000_000_000_000_u64),
        client_collateral: TokenAmount::zero(),
    }
}

/// The signed proposal of spec boost-mk12 1.8.
pub fn signed() -> ClientDealProposal {
    let signature = Signature {
        kind: SignatureKind::Secp256k1,
        data: vec![0xaa; 65],
    };
    ClientDealProposal {
        proposal: proposal(),
        signature,
    }
}

#[test]
fn vector_of_the_deal_protocols() {
    let proposal = proposal();
    assert_eq!(
        proposal.piece_cid.to_string(),
        "baga6ea4seaqacaqdaqcqmbyibefawdanbyhraeiscmkbkfqxdamrugy4dupb6ia"
    );
    assert_eq!(proposal.encode(), hex(PROPOSAL));
    assert_eq!(DealProposal::decode(&hex(PROPOSAL)), Ok(proposal.clone()));
    assert_eq!(
        proposal.cid().to_string(),
        "bafy2bzaceb2qtqpyxkeu5yaaavlfkfqrzugsbzjbdibe6xjm2mgv4nhqckz2u"
    );
    let signed = signed();
    let bytes = hex(&format!("82{PROPOSAL}584201{}", "aa".repeat(65)));
    assert_eq!(signed.encode(), bytes);
    assert_eq!(ClientDealProposal::decode(&bytes), Ok(signed.clone()));
    assert_eq!(
        signed.signed_cid().to_string(),
        "bafyreidzpwvnwqjdpxbvxbxaimae5mnquui22qaxahuudhdxxygqy5qgsa"
    );
}

#[test]
fn vector_of_the_chain() {
    let bytes = hex(CHAIN_PROPOSAL);
    let proposal = DealProposal::decode(&bytes).expect("a proposal");
    assert_eq!(proposal.encode(), bytes);
    assert_eq!(
        proposal.client,
        address("f1h3fn4s2xj6efh4igov4hhxxidnnts2hmygyrc7y")
    );
    assert_eq!(proposal.provider, address("f01234"));
    assert_eq!(proposal.label, Label::Text("example-label".into()));
    assert_eq!(proposal.provider_collateral.to_string(), "8500000000000000");
    assert_eq!(
        proposal.cid().to_string(),
        "bafy2bzaceceoon5y3wsq3drpkrf63dppyxa2cnb7kjyqiimqwrdvoudup42iw"
    );
    assert_eq!(
        proposal
            .chain_cid(&address("f05678"), &address("f01234"))
            .to_string(),
        "bafy2bzacebj4hr6ly2e543xtjr6l27cacoxcc6uye3mlschqdsxntuoutis2m"
    );
    let key_client = proposal.client.clone();
    assert_eq!(
        proposal.chain_cid(&key_client, &address("f01234")),
        proposal.cid()
    );
}

#[test]
fn labels_keep_their_kind() {
    // Bytes, a text, and the two empty ones (spec boost-mk12 1.8).
    let cases = [
        (Label::Bytes(vec![1, 2]), "420102"),
        (Label::Text("test".into()), "6474657374"),
        (Label::Text(String::new()), "60"),
        (Label::Bytes(Vec::new()), "40"),
    ];
    for (label, encoded) in cases {
        let proposal = DealProposal {
            label: label.clone(),
            ..proposal()
        };
        let bytes = hex(&PROPOSAL
            .replace(' ', "")
            .replace("6a746573742d6c6162656c", encoded));
        assert_eq!(proposal.encode(), bytes);
        assert_eq!(DealProposal::decode(&bytes).map(|p| p.label), Ok(label));
    }
}

/// `PROPOSAL` with one place replaced.
fn changed(from: &str, to: &str) -> Result<DealProposal, CborError> {
    let text = PROPOSAL.replace(' ', "");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    DealProposal::decode(&hex(&text.replace(from, to)))
}

#[test]
fn refused_proposals() {
    let malformed = |from: &str, to: &str| {
        let result = changed(from, to);
        assert!(result.is_err(), "{from} -> {to}: {result:?}");
    };
    malformed("8bd82a", "8ad82a"); // ten elements
    malformed("8bd82a", "8cd82a"); // twelve
    malformed("8bd82a", "9fd82a"); // indefinite
    malformed("8bd82a", "980bd82a"); // not the shortest header
    malformed("8bd82a", "8bd829"); // another tag
    malformed("d82a5828000181", "d82a5828010181"); // no leading zero
    malformed("d82a5828000181e203922020", "f6"); // undefined CID
    malformed("1b0000000800000000", "3b0000000800000000"); // a negative size
    malformed("00f555", "00f655"); // null for a boolean
    malformed("00f555", "00f81555"); // the two-byte form of true
    malformed("00f555", "000155"); // a number for a boolean
    malformed("4300e807", "40"); // an empty address
    malformed("4300e807", "4400e80700"); // an address with a tail
    malformed("4300e807", "6300e807"); // text for bytes
    malformed("6a746573742d6c6162656c", "61ff"); // a text label that is not UTF-8
    malformed("6a746573742d6c6162656c", "f6");
    malformed("6a746573742d6c6162656c", "81"); // neither text nor bytes
    malformed("1a001e8480", "1b8000000000000000"); // beyond 63 bits
    malformed("4800038d7ea4c68000", "4802038d7ea4c68000"); // another sign
    malformed("4800038d7ea4c68000", "00"); // a number for an amount
    for cut in 0..hex(PROPOSAL).len() {
        assert!(
            DealProposal::decode(&hex(PROPOSAL)[..cut]).is_err(),
            "cut at {cut}"
        );
    }
    let mut longer = hex(PROPOSAL);
    longer.push(0);
    assert_eq!(DealProposal::decode(&longer), Err(CborError::Trailing));
}

#[test]
fn tolerated_amounts_are_written_anew() {
    let tolerated = changed("4800038d7ea4c68000", "4a000000038d7ea4c68000").expect("leading zeros");
    assert_eq!(tolerated, proposal());
    assert_eq!(
        tolerated.encode(),
        hex(PROPOSAL),
        "so a signature over the other form fails"
    );
    let zero = changed("4800038d7ea4c68000", "4100").expect("a sign alone");
    assert!(zero.provider_collateral.is_zero());
}

#[test]
fn negative_epochs_are_read() {
    let early = changed("1a001e8480", "20").expect("-1");
    assert_eq!(early.start_epoch, -1);
    let earliest = changed("1a001e8480", "3b7fffffffffffffff").expect("the least");
    assert_eq!(earliest.start_epoch, i64::MIN);
    assert_eq!(earliest.duration(), None);
    assert!(earliest.storage_fee().is_zero());
    assert_eq!(DealProposal::decode(&earliest.encode()), Ok(earliest));
}

#[test]
fn fee_is_price_times_duration() {
    let price_per_epoch = TokenAmount::from_atto(3);
    let proposal = DealProposal {
        price_per_epoch,
        ..proposal()
    };
    assert_eq!(proposal.duration(), Some(518_400));
    assert_eq!(proposal.storage_fee(), TokenAmount::from_atto(1_555_200));
}
