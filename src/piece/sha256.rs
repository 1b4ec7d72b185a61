//! The one narrow kernel of the commitment tree: many independent SHA-256 digests of 64 bytes.
//!
//! Everything that makes a piece commitment fast or slow happens here. There is a kernel for each kind of processor; which
//! one is used is decided at the first digest, by what the processor says of itself, unless [`choose`] was called before.
//! A debug build uses the `sha2` crate, which is compiled with optimisation there, as this room is not.

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)] // loads and stores of vector registers
mod aarch64;
mod constants;
mod portable;
mod reference;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // loads and stores of vector registers
mod x86;

use std::sync::OnceLock;

/// Bytes of a tree node.
pub const NODE: usize = 32;

/// Bytes of two nodes side by side: what is hashed into their parent.
pub const PAIR: usize = 64;

/// Pairs that are left over by whole runs: from so many on they are hashed as a run of their own, filled up with zeros.
const FILL_UP: usize = portable::LANES / 4;

static CHOSEN: OnceLock<Kernel> = OnceLock::new();

/// A way of hashing that this processor has. There is none for instructions that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Sha,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Sha2,
    Portable,
    Reference,
}

impl Kernel {
    /// The kernels that this processor can use, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(x86::has_sha().then_some(Kind::Sha));
            all.extend(x86::has_avx2().then_some(Kind::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(aarch64::has_sha2().then_some(Kind::Sha2));
        all.extend([Kind::Portable, Kind::Reference]);
        all.into_iter().map(Self).collect()
    }

    /// The one with this name, if this processor can use it.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|kernel| kernel.name() == name)
    }

    /// The one that [`hash_pairs`] uses.
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(|| {
            let fastest = Self::all().into_iter().find(|_| !cfg!(debug_assertions));
            fastest.unwrap_or(Self(Kind::Reference))
        })
    }

    /// A word for it: `sha` (x86-64), `sha2` (AArch64), `avx2`, `portable`, or `reference` (the `sha2` crate).
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Sha => "sha",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Kind::Sha2 => "sha2",
            Kind::Portable => "portable",
            Kind::Reference => "reference",
        }
    }

    /// What [`hash_pairs`] does, with this kernel.
    pub fn hash_pairs(self, pairs: &[u8], out: &mut [u8]) {
        debug_assert_eq!(pairs.len(), out.len().saturating_mul(2));
        let (pairs, _) = pairs.as_chunks::<PAIR>();
        let (nodes, _) = out.as_chunks_mut::<NODE>();
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Sha => {
                // SAFETY: `Kind::Sha` is made in `all` alone, after the processor said that it has these instructions.
                #[allow(unsafe_code)]
                let runs =
                    |pairs: &_, nodes: &mut _| unsafe { x86::hash::<{ x86::LANES }>(pairs, nodes) };
                // SAFETY: as above.
                #[allow(unsafe_code)]
                let single = |pairs: &_, nodes: &mut _| unsafe { x86::hash::<1>(pairs, nodes) };
                in_runs(pairs, nodes, runs, single);
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => {
                // SAFETY: `Kind::Avx2` is made in `all` alone, after the processor said that it has these instructions.
                #[allow(unsafe_code)]
                let runs = |pairs: &_, nodes: &mut _| unsafe { x86::hash_avx2(pairs, nodes) };
                in_runs(pairs, nodes, runs, portable::hash::<1>);
            }
            #[cfg(target_arch = "aarch64")]
            Kind::Sha2 => {
                // SAFETY: `Kind::Sha2` is made in `all` alone, after the processor said that it has these instructions.
                #[allow(unsafe_code)]
                let runs = |pairs: &_, nodes: &mut _| unsafe {
                    aarch64::hash::<{ aarch64::LANES }>(pairs, nodes);
                };
                // SAFETY: as above.
                #[allow(unsafe_code)]
                let single = |pairs: &_, nodes: &mut _| unsafe { aarch64::hash::<1>(pairs, nodes) };
                in_runs(pairs, nodes, runs, single);
            }
            Kind::Portable => in_runs(
                pairs,
                nodes,
                portable::hash::<{ portable::LANES }>,
                portable::hash::<1>,
            ),
            Kind::Reference => reference::hash(pairs, nodes),
        }
    }
}

/// Has [`hash_pairs`] use this kernel from now on.
///
/// # Errors
/// Another one is in use already; it is given.
pub fn choose(kernel: Kernel) -> Result<(), Kernel> {
    let used = *CHOSEN.get_or_init(|| kernel);
    if used == kernel { Ok(()) } else { Err(used) }
}

/// Hashes every 64 bytes of `pairs` into the 32 bytes at the same place of `out`: SHA-256 with
/// the top two bits of byte 31 cleared (spec index 2.3).
///
/// `out` must be half as long as `pairs`; where the two do not match, the shorter one decides.
pub fn hash_pairs(pairs: &[u8], out: &mut [u8]) {
    Kernel::chosen().hash_pairs(pairs, out);
}

/// Cuts pairs into runs of `N`, and what is left over into single ones or a run that is filled up.
fn in_runs<const N: usize>(
    pairs: &[[u8; PAIR]],
    nodes: &mut [[u8; NODE]],
    runs: impl Fn(&[[u8; PAIR]; N], &mut [[u8; NODE]; N]),
    single: impl Fn(&[[u8; PAIR]; 1], &mut [[u8; NODE]; 1]),
) {
    let shorter = pairs.len().min(nodes.len());
    let (pairs, nodes) = (
        pairs.get(..shorter).unwrap_or_default(),
        nodes.get_mut(..shorter).unwrap_or_default(),
    );
    let (whole_pairs, left_pairs) = pairs.as_chunks::<N>();
    let (whole_nodes, left_nodes) = nodes.as_chunks_mut::<N>();
    for (pairs, nodes) in whole_pairs.iter().zip(whole_nodes) {
        runs(pairs, nodes);
    }
    if left_pairs.len() >= FILL_UP {
        let (mut pairs, mut nodes) = ([[0; PAIR]; N], [[0; NODE]; N]);
        for (filled, pair) in pairs.iter_mut().zip(left_pairs) {
            *filled = *pair;
        }
        runs(&pairs, &mut nodes);
        left_nodes.copy_from_slice(nodes.get(..left_nodes.len()).unwrap_or_default());
        return;
    }
    for (pair, node) in left_pairs
        .as_chunks::<1>()
        .0
        .iter()
        .zip(left_nodes.as_chunks_mut::<1>().0)
    {
        single(pair, node);
    }
}

/// The parent of two nodes.
pub(crate) fn parent(left: &[u8; NODE], right: &[u8; NODE]) -> [u8; NODE] {
    let mut pair = [0; PAIR];
    let (low, high) = pair.split_at_mut(NODE);
    low.copy_from_slice(left);
    high.copy_from_slice(right);
    let mut node = [0; NODE];
    hash_pairs(&pair, &mut node);
    node
}
