//! Fr32 and the kernel.

use sha2::{Digest, Sha256};

use super::super::fr32::expand;
use super::super::sha256::{Kernel, choose, hash_pairs, parent};
use super::{noise, unhex};

/// Cuts 254-bit groups out bit by bit: the definition itself.
fn expand_bitwise(quad: &[u8; 127]) -> [u8; 128] {
    let mut out = [0; 128];
    for bit in 0..127 * 8 {
        let set = quad[bit / 8] >> (bit % 8) & 1;
        let place = bit / 254 * 256 + bit % 254;
        out[place / 8] |= set << (place % 8);
    }
    out
}

fn expanded(quad: &[u8; 127]) -> Vec<u8> {
    // Old content must not shine through.
    let mut out = [0xa5; 128];
    expand(quad, &mut out);
    out.to_vec()
}

#[test]
fn fr32_of_counting_bytes() {
    let mut quad = [0; 127];
    for (byte, value) in quad.iter_mut().zip(0..) {
        *byte = value;
    }
    let want = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
        8084888c9094989ca0a4a8acb0b4b8bcc0c4c8ccd0d4d8dce0e4e8ecf0f4f83c
        03142434445464748494a4b4c4d4e4f404152535455565758595a5b5c5d5e535
        175898d8185999d9195a9ada1a5b9bdb1b5c9cdc1c5d9ddd1d5e9ede1e5f9f1f";
    assert_eq!(expanded(&quad), unhex(want));
}

#[test]
fn fr32_of_ones_clears_two_bits_a_word() {
    let word = [&[0xff; 31][..], &[0x3f]].concat();
    assert_eq!(expanded(&[0xff; 127]), word.repeat(4));
}

#[test]
fn fr32_is_what_its_definition_says() {
    for seed in 0..200 {
        let quad: [u8; 127] = noise(seed, 127).try_into().unwrap();
        assert_eq!(expanded(&quad), expand_bitwise(&quad), "seed {seed}");
    }
    for bit in 0..127 * 8 {
        let mut quad = [0; 127];
        quad[bit / 8] = 1 << (bit % 8);
        assert_eq!(expanded(&quad), expand_bitwise(&quad), "bit {bit}");
    }
}

#[test]
fn all_kernels_agree_with_the_one_shot_digest() {
    // Runs of 4 and of 16, and everything that can be left over by them.
    let counts = (0..70).chain([127, 128, 1023, 1024]);
    for count in counts {
        let pairs = noise(count as u64, count * 64);
        let mut want = Vec::new();
        for pair in pairs.chunks(64) {
            want.extend(Sha256::digest(pair));
            *want.last_mut().unwrap() &= 0x3f;
        }
        for kernel in Kernel::all() {
            let mut nodes = vec![0xee; count * 32];
            kernel.hash_pairs(&pairs, &mut nodes);
            assert_eq!(nodes, want, "{} of {count}", kernel.name());
        }
    }
}

#[test]
fn a_kernel_is_known_by_its_name_and_chosen_once() {
    let all = Kernel::all();
    for kernel in &all {
        assert_eq!(Kernel::named(kernel.name()), Some(*kernel));
    }
    assert!(all.iter().any(|kernel| kernel.name() == "portable"));
    assert_eq!(Kernel::named("sha3"), None);
    let chosen = Kernel::chosen();
    assert_eq!(choose(chosen), Ok(()));
    let other = all.into_iter().find(|kernel| *kernel != chosen).unwrap();
    assert_eq!(choose(other), Err(chosen));
    assert_eq!(Kernel::chosen(), chosen);
}

#[test]
fn parent_keeps_left_and_right_apart() {
    let (left, right) = ([1; 32], [2; 32]);
    let mut want = [0; 32];
    hash_pairs(&[left, right].concat(), &mut want);
    assert_eq!(parent(&left, &right), want);
    assert_ne!(parent(&right, &left), want);
}
