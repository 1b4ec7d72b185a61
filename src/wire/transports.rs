//! Where pieces can be fetched: the answer of `/fil/retrieval/transports/1.0.0`, which has no request.

use super::WireError;
use super::map::{begin, each_entry, get_text, put_key, put_text};
use crate::filecoin::cbor::{self, Out, put_array, put_bytes, put_map};
use minicbor::Decoder;

/// Longest answer that a client reads: some tens of ways with some tens of addresses each, many times over.
pub const MAX_TRANSPORTS_BYTES: u64 = 64 * 1024;

/// Most ways in an answer, and most addresses of a way: the reference writes at most three with a few each.
const MAX_ELEMENTS: u64 = 1024;

/// Longest binary multiaddr; the longest in use are those of relays with certificate hashes, below 300 bytes.
const MAX_ADDRESS_BYTES: usize = 1024;

/// One way to fetch pieces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport {
    /// `libp2p`, `http` or `bitswap`.
    pub name: String,
    /// Binary multiaddrs.
    pub addresses: Vec<Vec<u8>>,
}

/// The ways to fetch pieces, in the provider's order (spec boost-mk12 1.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transports(pub Vec<Transport>);

impl Transports {
    /// The answer's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = begin(1);
        put_key(&mut out, "Protocols");
        put_array(&mut out, self.0.len() as u64);
        for transport in &self.0 {
            transport.encode_into(&mut out);
        }
        out.into_writer()
    }

    /// Reads an answer, which must be all of `bytes`.
    ///
    /// # Errors
    /// The bytes are not one strict item of this shape, or bytes follow it.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut d = Decoder::new(bytes);
        let mut transports = Vec::new();
        each_entry(&mut d, |key, d| {
            match key {
                b"Protocols" => {
                    transports = elements(d, "Protocols", Transport::decode_from)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if d.position() < bytes.len() {
            return Err(WireError::Trailing);
        }
        Ok(Self(transports))
    }
}

impl Transport {
    fn encode_into(&self, out: &mut Out) {
        put_map(out, 2);
        put_key(out, "Name");
        put_text(out, &self.name);
        put_key(out, "Addresses");
        put_array(out, self.addresses.len() as u64);
        for address in &self.addresses {
            put_bytes(out, address);
        }
    }

    fn decode_from(d: &mut Decoder<'_>) -> Result<Self, WireError> {
        let mut transport = Self::default();
        each_entry(d, |key, d| {
            match key {
                b"Name" => transport.name = get_text(d, "Name")?,
                b"Addresses" => {
                    transport.addresses = elements(d, "Addresses", |d| {
                        Ok(cbor::get_bytes(d, MAX_ADDRESS_BYTES)?)
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(transport)
    }
}

/// Reads an array; memory grows with the elements that are there, not with the number that is declared.
fn elements<'b, T>(
    d: &mut Decoder<'b>,
    name: &'static str,
    mut read: impl FnMut(&mut Decoder<'b>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let declared = cbor::get_array(d)?;
    if declared > MAX_ELEMENTS {
        return Err(WireError::Field(name));
    }
    let mut elements = Vec::new();
    for _ in 0..declared {
        elements.push(read(d)?);
    }
    Ok(elements)
}
