//! How fast a piece is committed to: the kernel against the `sha2` crate's one-shot digests of
//! 64 bytes, and the whole of `Commp`, in the same run on one core.
//!
//! Rates are in bytes of payload: each 32 bytes of a tree's input are hashed once on their way to
//! the root, so a tree over N bytes hashes about 2 N bytes in pairs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use coracle::piece::Commp;
use coracle::piece::fr32::expand;
use coracle::piece::sha256::hash_pairs;
use sha2::{Digest, Sha256};

/// Bytes that are hashed again and again; a level of one batch.
const INPUT: usize = 64 * 1024;

/// How long each candidate runs in each round.
const SLICE: Duration = Duration::from_millis(500);

/// Rounds, candidates taking turns, so that a busy moment does not fall on one of them. The best
/// slice of each counts.
const ROUNDS: usize = 5;

/// A name, the bytes that one call takes, and the call.
type Candidate<'a> = (&'static str, usize, Box<dyn FnMut() + 'a>);

fn main() {
    let input: Vec<u8> = (0..INPUT)
        .map(|at| u8::try_from(at * 7 % 251).unwrap_or(0))
        .collect();
    let mut one_shot = vec![0; INPUT / 2];
    let mut kernel = vec![0; INPUT / 2];
    let mut commp = Commp::new();
    let mut words = [0; 128];
    let quads: Vec<[u8; 127]> = input.as_chunks::<127>().0.to_vec();
    let mut candidates: Vec<Candidate> = vec![
        (
            "sha2 one-shot, 64-byte digests",
            INPUT,
            Box::new(|| {
                for (pair, node) in input.chunks_exact(64).zip(one_shot.chunks_exact_mut(32)) {
                    node.copy_from_slice(&Sha256::digest(black_box(pair)));
                    node[31] &= 0x3f;
                }
            }),
        ),
        (
            "kernel, 64-byte digests",
            INPUT,
            Box::new(|| hash_pairs(black_box(&input), &mut kernel)),
        ),
        (
            "Fr32 alone",
            quads.len() * 127,
            Box::new(|| {
                for quad in &quads {
                    expand(black_box(quad), &mut words);
                    black_box(&words);
                }
            }),
        ),
        (
            "whole CommP",
            INPUT,
            Box::new(|| commp.update(black_box(&input))),
        ),
    ];
    let mut best = vec![0.0_f64; candidates.len()];
    for _ in 0..ROUNDS {
        for ((_, bytes, run), best) in candidates.iter_mut().zip(&mut best) {
            *best = best.max(rate(*bytes, run));
        }
    }
    for ((name, _, _), rate) in candidates.iter().zip(&best) {
        println!("{name:<32} {:>8.1} MB/s", rate / 1e6);
    }
    let [one_shot_rate, kernel_rate, _, commp_rate] = best[..] else {
        return;
    };
    println!(
        "kernel : one-shot                {:>8.2}",
        kernel_rate / one_shot_rate
    );
    // A tree over N bytes has N / 32 pairs, 2 N bytes of them: at best half the kernel's rate.
    println!(
        "whole CommP : half the kernel    {:>8.2}",
        commp_rate / (kernel_rate / 2.0)
    );
    drop(candidates);
    assert_eq!(one_shot, kernel, "the kernel gives other digests");
}

/// Bytes a second over one slice.
fn rate(bytes: usize, run: &mut dyn FnMut()) -> f64 {
    let started = Instant::now();
    let mut calls = 0_u32;
    loop {
        run();
        calls += 1;
        let elapsed = started.elapsed();
        if elapsed >= SLICE {
            // Far below 2^53, so exact.
            #[allow(clippy::cast_precision_loss)]
            let bytes = bytes as f64;
            return bytes * f64::from(calls) / elapsed.as_secs_f64();
        }
    }
}
