//! Messages of the deal protocols, written by hand from their specification: each value is its bytes, so that any of
//! them can be replaced by wrong ones.

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::iter;

pub const TRUE: &[u8] = &[0xf5];
pub const FALSE: &[u8] = &[0xf4];
pub const NULL: &[u8] = &[0xf6];

/// A header in its shortest form.
pub fn head(major: u8, value: u64) -> Vec<u8> {
    let first = major << 5;
    let be = value.to_be_bytes();
    match value {
        0..=23 => vec![first | be[7]],
        24..=0xff => vec![first | 0x18, be[7]],
        0x100..=0xffff => [&[first | 0x19], &be[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[first | 0x1a], &be[4..]].concat(),
        _ => [&[first | 0x1b], &be[..]].concat(),
    }
}

pub fn uint(value: u64) -> Vec<u8> {
    head(0, value)
}

pub fn bytes(value: &[u8]) -> Vec<u8> {
    [&head(2, value.len() as u64), value].concat()
}

pub fn text(value: &str) -> Vec<u8> {
    [&head(3, value.len() as u64), value.as_bytes()].concat()
}

/// A text whose bytes need not be one.
pub fn raw_text(value: &[u8]) -> Vec<u8> {
    [&head(3, value.len() as u64), value].concat()
}

pub fn array(elements: &[Vec<u8>]) -> Vec<u8> {
    [head(4, elements.len() as u64), elements.concat()].concat()
}

pub fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let body = entries
        .iter()
        .flat_map(|(key, value)| [text(key), value.clone()]);
    iter::once(head(5, entries.len() as u64))
        .chain(body)
        .collect::<Vec<_>>()
        .concat()
}

/// Tag 42 over the binary CID with its leading zero byte.
pub fn cid(binary: &[u8]) -> Vec<u8> {
    [vec![0xd8, 0x2a], bytes(&[&[0], binary].concat())].concat()
}

/// The binary CID of a piece commitment.
pub fn piece_cid(commitment: &[u8; 32]) -> Vec<u8> {
    [&[0x01, 0x81, 0xe2, 0x03, 0x92, 0x20, 0x20], &commitment[..]].concat()
}

/// The binary CIDv1 of a dag-pb block with this SHA-256 digest.
pub fn root_cid(digest: &[u8; 32]) -> Vec<u8> {
    [&[0x01, 0x70, 0x12, 0x20], &digest[..]].concat()
}

/// The binary CID of an unsigned proposal: DAG-CBOR and the chain's hash.
pub fn proposal_cid(tuple: &[u8]) -> Vec<u8> {
    let prefix = [0x01, 0x71, 0xa0, 0xe4, 0x02, 0x20];
    [&prefix[..], &blake2b(32, tuple)].concat()
}

/// The binary CID of a signed proposal: DAG-CBOR and the other hash.
pub fn signed_proposal_cid(signed: &[u8]) -> Vec<u8> {
    [&[0x01, 0x71, 0x12, 0x20], &Sha256::digest(signed)[..]].concat()
}

/// A non-negative amount.
pub fn amount(value: u128) -> Vec<u8> {
    if value == 0 {
        return bytes(&[]);
    }
    let be = value.to_be_bytes();
    let zeros = be.iter().take_while(|byte| **byte == 0).count();
    bytes(&[&[0], &be[zeros..]].concat())
}

/// The ID address `f0<number>`.
pub fn id_address(mut number: u64) -> Vec<u8> {
    let mut address = vec![0];
    while number >= 0x80 {
        address.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    address.push(number.to_le_bytes()[0]);
    address
}

fn blake2b(length: usize, data: &[u8]) -> Vec<u8> {
    let hash = blake2b_simd::Params::new().hash_length(length).hash(data);
    hash.as_bytes().to_vec()
}

/// The f1 address of a public key.
fn f1(key: &VerifyingKey) -> Vec<u8> {
    let public = key.to_encoded_point(false);
    [vec![1], blake2b(20, public.as_bytes())].concat()
}

/// Whose f1 address made this signature: its type byte, r, s and v.
pub fn signer(signature: &[u8], message: &[u8]) -> Vec<u8> {
    let [1, r_s @ .., v] = signature else {
        panic!("no secp256k1 signature: {signature:02x?}");
    };
    let r_s = Signature::from_slice(r_s).expect("r and s");
    let v = RecoveryId::from_byte(*v).expect("0 to 3");
    let key = VerifyingKey::recover_from_prehash(&blake2b(32, message), &r_s, v);
    f1(&key.expect("a signature"))
}

/// A secp256k1 key of the chain.
#[derive(Clone)]
pub struct Wallet(SigningKey);

impl Wallet {
    pub fn new(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_slice(&seed).expect("a scalar"))
    }

    /// The f1 address: its protocol byte and the hash of the public key.
    pub fn address(&self) -> Vec<u8> {
        f1(self.0.verifying_key())
    }

    /// Type byte, r, s, v over the BLAKE2b-256 of the message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let digest = blake2b(32, message);
        let (signature, v) = self
            .0
            .sign_prehash_recoverable(&digest)
            .expect("a signature");
        [vec![1], signature.to_bytes().to_vec(), vec![v.to_byte()]].concat()
    }
}

/// The positions of a proposal's fields.
pub mod field {
    pub const PIECE_CID: usize = 0;
    pub const PIECE_SIZE: usize = 1;
    pub const VERIFIED: usize = 2;
    pub const CLIENT: usize = 3;
    pub const PROVIDER: usize = 4;
    pub const LABEL: usize = 5;
    pub const START: usize = 6;
    pub const END: usize = 7;
    pub const PRICE: usize = 8;
    pub const PROVIDER_COLLATERAL: usize = 9;
    pub const CLIENT_COLLATERAL: usize = 10;
}

/// A proposal for a deal, every value as the bytes that will be sent.
#[derive(Clone)]
pub struct Proposal {
    pub wallet: Wallet,
    pub uuid: Vec<u8>,
    /// The fields of the tuple, in order; see [`field`].
    pub fields: Vec<Vec<u8>>,
    /// What is signed, if not what is sent.
    pub signed_fields: Option<Vec<Vec<u8>>>,
    /// The signature's bytes, if not the right one.
    pub signature: Option<Vec<u8>>,
    pub transfer: Vec<(&'static str, Vec<u8>)>,
    pub data_root: Vec<u8>,
    pub offline: bool,
}

impl Proposal {
    /// The deal of the specification's test vectors (spec boost-mk12 1.8), by this wallet.
    pub fn new(wallet: Wallet, uuid: [u8; 16], provider: u64) -> Self {
        let mut commitment = [0u8; 32];
        for (byte, value) in commitment.iter_mut().zip(1..) {
            *byte = value;
        }
        let fields = vec![
            cid(&piece_cid(&commitment)),
            uint(34_359_738_368),
            TRUE.to_vec(),
            bytes(&wallet.address()),
            bytes(&id_address(provider)),
            text("test-label"),
            uint(2_000_000),
            uint(2_518_400),
            amount(0),
            amount(1_000_000_000_000_000),
            amount(0),
        ];
        let params = br#"{"URL":"https://example.com/a.car","Headers":null}"#;
        Self {
            wallet,
            uuid: bytes(&uuid),
            fields,
            signed_fields: None,
            signature: None,
            transfer: vec![
                ("Size", uint(1_000_000)),
                ("Type", text("http")),
                ("Params", bytes(params)),
                ("ClientID", text("")),
            ],
            data_root: cid(&root_cid(&[7; 32])),
            offline: false,
        }
    }

    /// Replaces a field of the tuple.
    #[must_use]
    pub fn with(mut self, position: usize, value: Vec<u8>) -> Self {
        self.fields[position] = value;
        self
    }

    /// Replaces a value of the transfer.
    #[must_use]
    pub fn with_transfer(mut self, key: &str, value: Vec<u8>) -> Self {
        let entry = self.transfer.iter_mut().find(|(known, _)| *known == key);
        entry.expect("a key of the transfer").1 = value;
        self
    }

    /// The unsigned tuple as sent.
    pub fn tuple(&self) -> Vec<u8> {
        array(&self.fields)
    }

    /// Tuple and signature.
    pub fn signed(&self) -> Vec<u8> {
        let message = array(self.signed_fields.as_ref().unwrap_or(&self.fields));
        let signature = self.signature.clone();
        let signature = signature.unwrap_or_else(|| self.wallet.sign(&message));
        array(&[self.tuple(), bytes(&signature)])
    }

    /// The entries of the seven-key form, in the order in which clients write them.
    pub fn entries(&self) -> Vec<(&'static str, Vec<u8>)> {
        let offline = if self.offline { TRUE } else { FALSE };
        vec![
            ("DealUUID", self.uuid.clone()),
            ("Transfer", map(&self.transfer)),
            ("IsOffline", offline.to_vec()),
            ("DealDataRoot", self.data_root.clone()),
            ("SkipIPNIAnnounce", FALSE.to_vec()),
            ("ClientDealProposal", self.signed()),
            ("RemoveUnsealedCopy", FALSE.to_vec()),
        ]
    }

    /// The seven-key form.
    pub fn seven(&self) -> Vec<u8> {
        map(&self.entries())
    }

    /// The five-key form.
    pub fn five(&self) -> Vec<u8> {
        let mut entries = self.entries();
        entries.retain(|(key, _)| *key != "SkipIPNIAnnounce" && *key != "RemoveUnsealedCopy");
        map(&entries)
    }

    /// The seven-key form with this value for a key.
    pub fn seven_with(&self, key: &str, value: Vec<u8>) -> Vec<u8> {
        let mut entries = self.entries();
        let entry = entries.iter_mut().find(|(known, _)| *known == key);
        entry.expect("a key of the message").1 = value;
        map(&entries)
    }
}

/// A question about a deal.
pub fn status_request(uuid: [u8; 16], signature: &[u8]) -> Vec<u8> {
    map(&[("DealUUID", bytes(&uuid)), ("Signature", bytes(signature))])
}

/// A question for a miner's terms.
pub fn ask_request(miner: &[u8]) -> Vec<u8> {
    map(&[("Miner", bytes(miner))])
}

/// An accepting or refusing answer to a proposal.
pub fn deal_response(accepted: bool, message: &str) -> Vec<u8> {
    let accepted = if accepted { TRUE } else { FALSE };
    map(&[("Message", text(message)), ("Accepted", accepted.to_vec())])
}

/// The answer about a deal: with an error there is no status, and everything else is zero.
pub fn status_response(
    error: &str,
    uuid: &[u8; 16],
    (offline, status): (bool, Vec<u8>),
    (size, received): (u64, u64),
) -> Vec<u8> {
    let offline = if offline { TRUE } else { FALSE };
    map(&[
        ("Error", text(error)),
        ("DealUUID", bytes(uuid)),
        ("IsOffline", offline.to_vec()),
        ("DealStatus", status),
        ("TransferSize", uint(size)),
        ("NBytesReceived", uint(received)),
    ])
}

/// The status in such an answer of a deal that has not failed. `publish`: binary CID of the message, and chain deal ID.
pub fn deal_status(
    name: &str,
    proposal: &Proposal,
    publish: Option<(&[u8], u64)>,
    sealing: &str,
) -> Vec<u8> {
    let (publish_cid, deal_id) =
        publish.map_or((NULL.to_vec(), 0), |(binary, id)| (cid(binary), id));
    map(&[
        ("Error", text("")),
        ("Status", text(name)),
        ("Proposal", proposal.tuple()),
        ("PublishCid", publish_cid),
        ("ChainDealID", uint(deal_id)),
        ("SealingStatus", text(sealing)),
        (
            "SignedProposalCid",
            cid(&signed_proposal_cid(&proposal.signed())),
        ),
    ])
}

/// What an answer to a proposal says; panics if its bytes are not exactly of that form.
pub fn read_deal_response(answer: &[u8]) -> (bool, String) {
    let rest = answer.strip_prefix(b"\xa2\x67Message");
    let rest = rest.unwrap_or_else(|| panic!("no answer to a proposal: {answer:02x?}"));
    let (length, rest) = match rest {
        [short @ 0x60..=0x77, rest @ ..] => (usize::from(short - 0x60), rest),
        [0x78, length, rest @ ..] => (usize::from(*length), rest),
        [0x79, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => panic!("no text: {answer:02x?}"),
    };
    let (message, rest) = rest.split_at(length);
    let accepted = rest.strip_prefix(b"\x68Accepted").expect("the second key");
    assert!(accepted == TRUE || accepted == FALSE, "{accepted:02x?}");
    let message = String::from_utf8(message.to_vec()).expect("UTF-8");
    (accepted == TRUE, message)
}
