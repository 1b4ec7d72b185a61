//! The streaming commitment against the golden vectors and against a tree built in one piece.

use proptest::prelude::*;

use super::super::commp::{Commp, PieceCommitment, SUBTREE_BYTES, zero_commitment};
use super::super::fr32::expand;
use super::super::saved::SaveError;
use super::super::sha256::parent;
use super::{noise, unhex};

fn commit(payload: &[u8]) -> PieceCommitment {
    let mut commp = Commp::new();
    commp.update(payload);
    commp.finish()
}

/// The definition: expand everything, fill up with zeros, halve until one node is left.
fn commit_whole(payload: &[u8]) -> [u8; 32] {
    let quads = payload.len().div_ceil(127).max(1).next_power_of_two();
    let mut padded = payload.to_vec();
    padded.resize(quads * 127, 0);
    let mut nodes: Vec<[u8; 32]> = Vec::new();
    for quad in padded.chunks(127) {
        let mut leaves = [0; 128];
        expand(quad.try_into().unwrap(), &mut leaves);
        nodes.extend(
            leaves
                .chunks(32)
                .map(|leaf| <[u8; 32]>::try_from(leaf).unwrap()),
        );
    }
    while nodes.len() > 1 {
        nodes = nodes
            .chunks(2)
            .map(|pair| parent(&pair[0], &pair[1]))
            .collect();
    }
    nodes[0]
}

fn check(payload: &[u8], padded_size: u64, cid: &str) {
    let commitment = commit(payload);
    assert_eq!(commitment.cid().to_string(), cid);
    assert_eq!(commitment.padded_size, padded_size);
    assert_eq!(commitment.payload_size, payload.len() as u64);
}

#[test]
fn golden_vectors() {
    let zeros = "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy";
    check(&[0; 127], 128, zeros);
    check(&[], 128, zeros);
    check(
        &[0; 128],
        256,
        "baga6ea4seaqgiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy",
    );
    check(
        &[0xcc; 127],
        128,
        "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq",
    );
    check(
        &[0xcc; 1017],
        2048,
        "baga6ea4seaqf3n5ob5qonkwnxfcbjzftsagbnrjfzualqvzhcylz46b7sgz6wmi",
    );
    let four: Vec<u8> = (0..4).flat_map(|byte| [byte; 127]).collect();
    check(
        &four,
        512,
        "baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
    );
    let counting: Vec<u8> = (0..127).collect();
    check(
        &counting,
        128,
        "baga6ea4seaqlqfyjsvd3rrmqmd7n4f7i73ybzuxfq4p4za6lft2jeaaaaguxefq",
    );
    let thousand: Vec<u8> = (0..=255).cycle().take(1000).collect();
    check(
        &thousand,
        1024,
        "baga6ea4seaqjkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky",
    );
}

#[test]
fn four_quads_and_a_bit_more() {
    // FRC-0069: the fifth quad holds one or two zero bytes only, so the root is the same.
    let cid = "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa";
    let mut payload: Vec<u8> = (0..4).flat_map(|byte| [byte; 127]).collect();
    payload.extend([0; 4]);
    let first = commit(&payload);
    payload.push(0);
    let second = commit(&payload);
    assert_eq!(first.root, second.root);
    assert_eq!(first.padded_size, 1024);
    assert_eq!(first.cid().to_string(), cid);
}

#[test]
fn zero_table() {
    let rows = [
        (
            0,
            "0000000000000000000000000000000000000000000000000000000000000000",
        ),
        (
            1,
            "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb0b",
        ),
        (
            2,
            "3731bb99ac689f66eef5973e4a94da188f4ddcae580724fc6f3fd60dfd488333",
        ),
        (
            3,
            "642a607ef886b004bf2c1978463ae1d4693ac0f410eb2d1b7a47fe205e5e750f",
        ),
        (
            6,
            "fc7e928296e516faade986b28f92d44a4f24b935485223376a799027bc18f833",
        ),
        (
            18,
            "65f29e5d98d246c38b388cfc06db1f6b021303c5a289000bdce832a9c3ec421c",
        ),
        (
            24,
            "39560e7b13a93b07a243fd2720ffa7cb3e1d2e505ab3629e79f46313512cda06",
        ),
        (
            30,
            "077e5fde35c50a9303a55009e3498a4ebedff39c42b710b730d8ec7ac7afa63e",
        ),
        (
            31,
            "e64005a6bfe3777953b8ad6ef93f0fca1049b2041654f2a411f7702799cece02",
        ),
    ];
    for (level, root) in rows {
        assert_eq!(
            zero_commitment(level).to_vec(),
            unhex(root),
            "level {level}"
        );
    }
    assert_eq!(zero_commitment(usize::MAX), zero_commitment(58));
}

#[test]
fn pieces_of_zeros_reach_sector_sizes() {
    let piece = commit(&[0; 127]);
    let sizes = [
        (
            1 << 35,
            "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
        ),
        (
            1 << 36,
            "baga6ea4seaqomqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq",
        ),
    ];
    for (padded_size, cid) in sizes {
        let root = piece.extend_to(padded_size).unwrap();
        assert_eq!(
            PieceCommitment {
                root,
                padded_size,
                ..piece
            }
            .cid()
            .to_string(),
            cid
        );
    }
}

#[test]
fn runs_of_zeros_take_no_time() {
    // A whole piece of them, in one run and in several (spec index 2.5, vectors 8 and 9).
    let payload = |padded: u64| padded - padded / 128;
    let mut commp = Commp::new();
    commp.update_zeros(payload(1 << 35));
    let cid = "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq";
    assert_eq!(commp.finish().cid().to_string(), cid);
    assert_eq!(commp.finish().padded_size, 1 << 35);
    for part in [1, 126, 127, 128, 1 << 20, 12_345_678_901] {
        commp.update_zeros(part);
    }
    commp.update_zeros(payload(1 << 36) - commp.bytes());
    let cid = "baga6ea4seaqomqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq";
    assert_eq!(commp.finish().cid().to_string(), cid);
    assert_eq!(commp.finish().payload_size, payload(1 << 36));
    // A state in the middle of them is as good as any.
    let mut restored = Commp::restore(&commp.save()).unwrap();
    restored.update(&[7]);
    commp.update(&[7]);
    assert_eq!(restored.finish(), commp.finish());
}

#[test]
fn subtrees_of_others_make_the_same_tree() {
    let size = usize::try_from(SUBTREE_BYTES).unwrap();
    let payload = noise(11, size * 3 + 1000);
    let whole = commit(&payload);
    let mut parts = Commp::new();
    let mut subtrees = payload.chunks_exact(size);
    for subtree in &mut subtrees {
        assert!(parts.push_subtree(commit(subtree).root));
    }
    parts.update(subtrees.remainder());
    assert_eq!(parts.finish(), whole);
    assert!(!parts.push_subtree([0; 32]), "not at its place");
    assert_eq!(parts.finish(), whole);
}

#[test]
fn extending_equals_hashing_the_zeros() {
    let payload = noise(1, 1000);
    let piece = commit(&payload);
    for padded_size in [1024_u64, 2048, 4096, 1 << 16] {
        let mut extended = payload.clone();
        extended.resize(usize::try_from(padded_size - padded_size / 128).unwrap(), 0);
        assert_eq!(piece.extend_to(padded_size), Some(commit(&extended).root));
    }
    assert_eq!(piece.extend_to(1024), Some(piece.root));
    for wrong in [0, 1, 512, 1025, 3072, u64::MAX] {
        assert_eq!(piece.extend_to(wrong), None, "{wrong}");
    }
    assert!(piece.extend_to(1 << 63).is_some());
}

#[test]
fn sizes_around_every_edge() {
    let data = noise(7, 127 * 1030);
    let mut lengths = vec![0, 1, 64, 65, 126, 127, 128];
    for quads in [2, 3, 4, 5, 511, 512, 513, 1023, 1024, 1025] {
        lengths.extend([127 * quads - 1, 127 * quads, 127 * quads + 1]);
    }
    for length in lengths {
        let piece = commit(&data[..length]);
        assert_eq!(piece.root, commit_whole(&data[..length]), "{length} bytes");
        let quads = length.div_ceil(127).max(1).next_power_of_two();
        assert_eq!(piece.padded_size, quads as u64 * 128, "{length} bytes");
    }
}

#[test]
fn finishing_is_only_a_look() {
    let data = noise(3, 200_000);
    let mut commp = Commp::new();
    for (count, chunk) in data.chunks(33_333).enumerate() {
        commp.update(chunk);
        let until = (count + 1) * 33_333;
        assert_eq!(commp.finish(), commit(&data[..until.min(data.len())]));
    }
}

#[test]
fn records_are_small_and_strict() {
    let mut commp = Commp::new();
    commp.update(&noise(5, 127 * 1023 + 126));
    let record = commp.save();
    // Ten bits are set in 1023.
    assert_eq!(record.len(), 1 + 8 + 126 + 10 * 32);
    assert_eq!(Commp::restore(&record).unwrap().finish(), commp.finish());

    let mut newer = record.clone();
    newer[0] = 2;
    assert_eq!(Commp::restore(&newer).unwrap_err(), SaveError::Version(2));
    for length in 0..record.len() {
        assert_eq!(
            Commp::restore(&record[..length]).unwrap_err(),
            SaveError::Malformed
        );
    }
    let longer = [&record[..], &[0]].concat();
    assert_eq!(Commp::restore(&longer).unwrap_err(), SaveError::Malformed);
    let mut huge = record.clone();
    huge[1..9].fill(0xff);
    assert_eq!(Commp::restore(&huge).unwrap_err(), SaveError::Malformed);
}

#[test]
fn the_first_format_stays_readable() {
    // 127 zeros, then three bytes of the next quad.
    let record = unhex(
        "01 8200000000000000 010203
         3731bb99ac689f66eef5973e4a94da188f4ddcae580724fc6f3fd60dfd488333",
    );
    let mut commp = Commp::new();
    commp.update(&[0; 127]);
    commp.update(&[1, 2, 3]);
    assert_eq!(commp.save(), record);
    let mut restored = Commp::restore(&record).unwrap();
    commp.update(&[4; 500]);
    restored.update(&[4; 500]);
    assert_eq!(restored.finish(), commp.finish());
}

#[test]
fn the_largest_record_stays_within_its_bound() {
    // Built by hand: no test can hash 2^61 bytes.
    let bytes: u64 = 127 * ((1 << 54) - 1) + 126;
    let mut record = vec![1];
    record.extend(bytes.to_le_bytes());
    record.extend(noise(9, 126));
    record.extend(noise(10, 54 * 32));
    let commp = Commp::restore(&record).unwrap();
    assert_eq!(commp.save(), record);
    assert!(record.len() <= 4096);
    assert_eq!(commp.finish().padded_size, 1 << 61);
}

proptest! {

    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn zeros_in_runs_are_zeros(parts in prop::collection::vec((0..2_000_usize, any::<bool>()), 1..12)) {
        let (mut runs, mut plain) = (Commp::new(), Commp::new());
        for (length, zeros) in parts {
            if zeros {
                runs.update_zeros(length as u64);
                plain.update(&vec![0; length]);
            } else {
                let bytes = noise(length as u64, length);
                runs.update(&bytes);
                plain.update(&bytes);
            }
            prop_assert_eq!(runs.finish(), plain.finish());
        }
        prop_assert_eq!(runs.save(), plain.save());
    }

    #[test]
    fn any_split_and_any_save_give_the_same_piece(
        length in 0_usize..300_000,
        seed: u64,
        steps in prop::collection::vec((1_usize..90_000, any::<bool>()), 1..12),
    ) {
        let data = noise(seed, length);
        let mut commp = Commp::new();
        let mut rest = &data[..];
        for (step, save) in steps.iter().cycle() {
            let (head, tail) = rest.split_at(rest.len().min(*step));
            commp.update(head);
            if *save {
                let record = commp.save();
                prop_assert!(record.len() <= 4096);
                commp = Commp::restore(&record).unwrap();
            }
            if tail.is_empty() {
                break;
            }
            rest = tail;
        }
        prop_assert_eq!(commp.bytes(), length as u64);
        prop_assert_eq!(commp.finish().root, commit_whole(&data));
    }

    #[test]
    fn no_record_makes_it_panic(record in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(mut commp) = Commp::restore(&record) {
            commp.update(&[1; 300]);
            commp.finish();
        }
    }
}
