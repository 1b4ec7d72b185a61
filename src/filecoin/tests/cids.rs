//! Content identifiers: spec index-announce-retrieve 2.4, 2.5 and FRC-0069.

use super::hex;
use crate::filecoin::cids::*;
use crate::filecoin::piece_size::{self, PieceSizeError};
use cid::Cid;
use cid::multihash::Multihash;

fn cid(text: &str) -> Cid {
    text.parse().expect("a valid CID")
}

/// Payload bytes, padded size, v1, v2 (spec index-announce-retrieve 2.5; FRC-0069).
const PIECES: [(u64, u64, &str, &str); 15] = [
    (
        127,
        128,
        "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
        "bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
    ),
    (
        128,
        256,
        "baga6ea4seaqgiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy",
        "bafkzcibcpybwiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy",
    ),
    (
        127,
        128,
        "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq",
        "bafkzcibcaabmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq",
    ),
    (
        1017,
        2048,
        "baga6ea4seaqf3n5ob5qonkwnxfcbjzftsagbnrjfzualqvzhcylz46b7sgz6wmi",
        "bafkzcibd64dqmxnxvyhwbzvkzw4uifhewoiayfwfexgqbocxe4lbphtyh6i3h2zr",
    ),
    (
        508,
        512,
        "baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
        "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
    ),
    (
        392_375,
        524_288,
        "baga6ea4seaqae5ysjdbsr4b5jhotaz5ooh62jrrdbxwygfpkkfjz44kvywycmgy",
        "bafkzcibezhtaodqco4jerqzi6a6utxjqm6xhd7neyyrq33mdcxvfcu46ofk4lmbgdm",
    ),
    (
        1_040_384,
        1_048_576,
        "baga6ea4seaqnqkeoqevjjjfe46wo2lpfclcbmkyms4wkz5srou3vzmr3w3c72bq",
        "bafkzcibcaah5qkeoqevjjjfe46wo2lpfclcbmkyms4wkz5srou3vzmr3w3c72bq",
    ),
    (
        34_091_302_912,
        1 << 35,
        "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
        "bafkzcibcaapao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
    ),
    (
        68_182_605_824,
        1 << 36,
        "baga6ea4seaqomqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq",
        "bafkzcibcaap6mqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq",
    ),
    (
        127,
        128,
        "baga6ea4seaqlqfyjsvd3rrmqmd7n4f7i73ybzuxfq4p4za6lft2jeaaaaguxefq",
        "bafkzcibcaablqfyjsvd3rrmqmd7n4f7i73ybzuxfq4p4za6lft2jeaaaaguxefq",
    ),
    (
        1000,
        1024,
        "baga6ea4seaqjkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky",
        "bafkzcibccaczkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky",
    ),
    (
        0,
        128,
        "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
        "bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
    ),
    (
        1016,
        1024,
        "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa",
        "bafkzcibcaac542av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa",
    ),
    (
        512,
        1024,
        "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa",
        "bafkzcibd7abqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4",
    ),
    (
        513,
        1024,
        "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa",
        "bafkzcibd64bqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4",
    ),
];

#[test]
fn piece_cids_both_ways() {
    for (payload, padded_size, v1, v2) in PIECES {
        let commitment = piece_commitment(&cid(v1)).expect(v1);
        assert_eq!(piece_cid(&commitment).to_string(), v1);
        let made = piece_cid_v2(&commitment, padded_size, payload).expect(v2);
        assert_eq!(made.to_string(), v2);
        let read = parse_piece_cid_v2(&cid(v2)).expect(v2);
        assert_eq!(
            read,
            PieceCidV2 {
                commitment,
                padded_size,
                payload
            }
        );
        assert_eq!(piece_commitment(&cid(v2)), None);
        assert_eq!(parse_piece_cid_v2(&cid(v1)), None);
    }
}

#[test]
fn piece_commitment_wants_the_exact_prefix() {
    let digest = [7; 32];
    let mh = |code, digest: &[u8]| Multihash::<64>::wrap(code, digest).expect("at most 64 bytes");
    let good = mh(SHA2_256_TRUNC254_PADDED, &digest);
    assert_eq!(
        piece_commitment(&Cid::new_v1(FIL_COMMITMENT_UNSEALED, good)),
        Some(digest)
    );
    let others = [
        Cid::new_v1(RAW, good),
        // The sealed commitment's codec.
        Cid::new_v1(0xf102, good),
        Cid::new_v1(FIL_COMMITMENT_UNSEALED, mh(SHA2_256, &digest)),
        Cid::new_v1(
            FIL_COMMITMENT_UNSEALED,
            mh(SHA2_256_TRUNC254_PADDED, &digest[..31]),
        ),
        Cid::new_v1(
            FIL_COMMITMENT_UNSEALED,
            mh(SHA2_256_TRUNC254_PADDED, &[7; 33]),
        ),
    ];
    for other in others {
        assert_eq!(piece_commitment(&other), None, "{other}");
    }
}

fn v2_of(digest: &[u8]) -> Option<PieceCidV2> {
    let hash = Multihash::wrap(FR32_SHA256_TRUNC254_PADBINTREE, digest).expect("at most 64 bytes");
    parse_piece_cid_v2(&Cid::new_v1(RAW, hash))
}

#[test]
fn piece_cid_v2_refuses_nonsense() {
    let root = "11".repeat(32);
    let read = |head: &str| v2_of(&hex(&format!("{head}{root}")));
    // Padding, height, and whether that is a piece.
    let cases = [
        ("0002", true),
        ("7f02", true),    // an empty payload
        ("800102", false), // 128 bytes of padding in 127
        ("0000", false),   // a single leaf: no piece is below 128 bytes
        ("0001", false),
        ("7e03", true),    // 128 bytes
        ("7f03", false),   // 127 bytes belong to the smaller tree
        ("80000e", false), // padding not in its shortest form
        ("0039", true),    // 2^62 bytes
        ("003a", false),
        ("00ff", false),
        ("ffffffffffffffffff0139", false),
        ("ffffffffffffffffffff0139", false),
        ("", false),
        ("02", false),
    ];
    for (head, good) in cases {
        assert_eq!(read(head).is_some(), good, "{head}");
    }
    assert!(v2_of(&[]).is_none());
    assert!(v2_of(&[0, 2]).is_none());
    assert!(
        v2_of(&hex(&format!("0002{root}00"))).is_none(),
        "a root of 33 bytes"
    );
    let hash = *cid(PIECES[0].3).hash();
    assert!(
        parse_piece_cid_v2(&Cid::new_v1(DAG_CBOR, hash)).is_none(),
        "another codec"
    );
}

#[test]
fn piece_cid_v2_needs_the_natural_size() {
    let root = [1; 32];
    assert!(piece_cid_v2(&root, 256, 127).is_none());
    assert!(piece_cid_v2(&root, 128, 128).is_none());
    assert!(piece_cid_v2(&root, 0, 0).is_none());
    assert!(piece_cid_v2(&root, 100, 99).is_none());
    assert!(piece_cid_v2(&root, 1 << 63, 1).is_none());
    assert!(piece_cid_v2(&root, 128, 1).is_some());
}

#[test]
fn sizes() {
    // Payload, padded (spec index-announce-retrieve 2.1).
    let cases = [
        (0, 128),
        (1, 128),
        (127, 128),
        (128, 256),
        (255, 512),
        (1000, 1024),
        (1017, 2048),
        (34_091_302_912, 1 << 35),
        (34_091_302_913, 1 << 36),
    ];
    for (payload, padded) in cases {
        assert_eq!(
            piece_size::padded_for_payload(payload),
            Some(padded),
            "{payload}"
        );
        assert!(piece_size::unpadded(padded) >= payload);
        assert_eq!(piece_size::check_padded(padded), Ok(()));
    }
    assert_eq!(piece_size::unpadded(1 << 35), 34_091_302_912);
    let largest = piece_size::unpadded(piece_size::MAX_PADDED);
    assert_eq!(piece_size::padded_for_payload(largest), Some(1 << 62));
    assert_eq!(piece_size::padded_for_payload(largest + 1), None);
    assert_eq!(piece_size::padded_for_payload(u64::MAX), None);
    assert_eq!(piece_size::check_padded(64), Err(PieceSizeError::TooSmall));
    assert_eq!(piece_size::check_padded(0), Err(PieceSizeError::TooSmall));
    assert_eq!(
        piece_size::check_padded(130),
        Err(PieceSizeError::NotPowerOfTwo)
    );
    assert_eq!(
        piece_size::check_padded(u64::MAX),
        Err(PieceSizeError::NotPowerOfTwo)
    );
}

#[test]
fn binary_cids_take_all_bytes() {
    let v1 = cid(PIECES[0].2);
    let bytes = v1.to_bytes();
    assert_eq!(parse_cid(&bytes), Some(v1));
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(parse_cid(&longer), None);
    assert_eq!(parse_cid(&bytes[..bytes.len() - 1]), None);
    assert_eq!(parse_cid(&[]), None);
    let v0 = cid("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG");
    assert_eq!(parse_cid(&v0.to_bytes()), Some(v0));
    // A version in two bytes where one does.
    assert_eq!(parse_cid(&hex("8100550000")), None);
}

#[test]
fn data_root_of_the_vector() {
    let root = sha256_cid(DAG_PB, b"root");
    let bytes = "017012204813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";
    assert_eq!(root.to_bytes(), hex(bytes));
}
