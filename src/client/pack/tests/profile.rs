//! The fixtures of IPIP-0499. Their data is a ChaCha20 key stream under the SHA-256 of a seed;
//! names are drawn from such a stream too.

use std::io::{BufWriter, Write};

use sha2::{Digest, Sha256};

use super::super::pack;
use super::Place;

/// One block of ChaCha20 with a nonce of zeros (RFC 8439, 2.3).
fn chacha20_block(key: &[u8; 32], counter: u32) -> [u8; 64] {
    let mut start = [0_u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in start[4..12].iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    start[12] = counter;
    let mut state = start;
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut state, [column, column + 4, column + 8, column + 12]);
        }
        for column in 0..4 {
            let turn = |by: usize| (column + by) % 4;
            quarter(&mut state, [column, 4 + turn(1), 8 + turn(2), 12 + turn(3)]);
        }
    }
    let mut out = [0; 64];
    for (bytes, (one, other)) in out
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(state.iter().zip(start))
    {
        *bytes = one.wrapping_add(other).to_le_bytes();
    }
    out
}

fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (first, second) in [(16, 12), (8, 7)] {
        state[a] = state[a].wrapping_add(state[b]);
        state[d] = (state[d] ^ state[a]).rotate_left(first);
        state[c] = state[c].wrapping_add(state[d]);
        state[b] = (state[b] ^ state[c]).rotate_left(second);
    }
}

fn key_stream(seed: &str, len: usize, out: &mut impl Write) {
    let key: [u8; 32] = Sha256::digest(seed).into();
    let mut left = len;
    for counter in 0.. {
        let block = chacha20_block(&key, counter);
        let part = &block[..left.min(64)];
        out.write_all(part).unwrap();
        left -= part.len();
        if left == 0 {
            break;
        }
    }
}

fn check_file(seed: &str, len: usize, root: &str) {
    let place = Place::new(&format!("{seed}-{len}"));
    let path = place.write("file", b"");
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    key_stream(seed, len, &mut file);
    file.flush().unwrap();
    let packed = pack(&path, &place.output()).unwrap();
    assert_eq!(packed.root.to_string(), root, "{len} bytes of {seed}");
}

fn check_directory(last_name_len: usize, root: &str) {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";
    let place = Place::new(&format!("threshold-{last_name_len}"));
    let mut stream = Vec::new();
    key_stream("hamt-unixfs-v1-2025", 1 << 20, &mut stream);
    let mut letters = stream
        .iter()
        .map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()]);
    for number in 0..4766 {
        let len = if number == 4765 { last_name_len } else { 11 };
        let name: Vec<u8> = letters.by_ref().take(len).collect();
        place.write(std::str::from_utf8(&name).unwrap(), b"x");
    }
    // The profile leaves names with a dot in front out; these have none.
    let (packed, _) = place.pack(&place.input());
    assert_eq!(packed.root.to_string(), root);
}

#[test]
fn key_stream_is_chacha20() {
    // RFC 8439, A.1: the first two blocks under a key of zeros.
    assert_eq!(
        chacha20_block(&[0; 32], 0)[..8],
        [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]
    );
    assert_eq!(
        chacha20_block(&[0; 32], 1)[..8],
        [0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a]
    );
}

#[test]
fn hello_world() {
    let place = Place::new("hello-world");
    let path = place.write("file", b"hello world");
    let (packed, _) = place.pack(&path);
    let root = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    assert_eq!(packed.root.to_string(), root);
}

#[test]
fn an_empty_directory() {
    let place = Place::new("empty");
    let (packed, _) = place.pack(&place.input());
    let root = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";
    assert_eq!(packed.root.to_string(), root);
}

#[test]
fn files_around_one_chunk() {
    let seed = "chunk-v1-seed";
    check_file(
        seed,
        1 << 20,
        "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta",
    );
    check_file(
        seed,
        (1 << 20) + 1,
        "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64",
    );
}

#[test]
fn a_directory_at_the_threshold_is_plain() {
    check_directory(
        21,
        "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4",
    );
}

#[test]
fn a_directory_beyond_the_threshold_is_sharded() {
    check_directory(
        22,
        "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu",
    );
}
