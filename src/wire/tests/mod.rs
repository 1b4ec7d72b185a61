//! What the messages are, checked against the vectors of the specification and against hand-written bytes.

mod items;
mod limits;
mod random;
mod tolerance;
mod vectors;

use super::{DealParams, Transfer};
use crate::filecoin::{
    Address, ClientDealProposal, DealProposal, Label, Signature, SignatureKind, TokenAmount, cids,
};
use uuid::Uuid;

/// The bytes of hexadecimal text; blanks are ignored.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "an odd number of digits");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// The UUID of the vectors.
fn uuid() -> Uuid {
    Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)
}

/// The signature of the vectors: of type 1, with sixty-five times `aa`.
fn signature() -> Signature {
    Signature {
        kind: SignatureKind::Secp256k1,
        data: vec![0xaa; 65],
    }
}

/// The proposal of the vectors.
fn proposal() -> DealProposal {
    let mut commitment = [0u8; 32];
    for (byte, value) in commitment.iter_mut().zip(1..) {
        *byte = value;
    }
    DealProposal {
        piece_cid: cids::piece_cid(&commitment),
        piece_size: 34_359_738_368,
        verified: true,
        client: Address::from_bytes(&[&[1], &[0x11; 20][..]].concat()).unwrap(),
        provider: Address::id(1000),
        label: Label::Text("test-label".into()),
        start_epoch: 2_000_000,
        end_epoch: 2_518_400,
        price_per_epoch: TokenAmount::zero(),
        provider_collateral: TokenAmount::from_atto(1_000_000_000_000_000u64),
        client_collateral: TokenAmount::zero(),
    }
}

/// The signed proposal of the vectors.
fn signed() -> ClientDealProposal {
    ClientDealProposal {
        proposal: proposal(),
        signature: signature(),
    }
}

/// The online transfer of the vectors.
fn transfer() -> Transfer {
    Transfer {
        size: 1_000_000,
        kind: "http".into(),
        params: br#"{"URL":"https://example.com/a.car","Headers":null}"#.to_vec(),
        client_id: String::new(),
    }
}

/// The message of the vectors.
fn params() -> DealParams {
    DealParams {
        uuid: uuid(),
        transfer: transfer(),
        offline: false,
        data_root: Some(cids::sha256_cid(cids::DAG_PB, b"root")),
        skip_announce: false,
        proposal: Some(signed()),
        remove_unsealed: false,
    }
}
