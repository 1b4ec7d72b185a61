//! The stored form: it round-trips, it is refused when it is newer or damaged, and old records are read for ever.

use super::samples::{at, atto, client_key, offline, sign, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::record::{
    Ending, Hold, Over, RecordError, Request, VERSION, read_versioned, versioned,
};
use crate::deal::{Checkpoint, Deal, Import, Sector};
use crate::filecoin::{Address, DealProposal, Label, Signature, SignatureKind, cids};
use proptest::prelude::*;
use uuid::Uuid;

fn round_trip(deal: &Deal) {
    let bytes = deal.encode();
    assert_eq!(bytes[0], VERSION);
    assert_eq!(Deal::decode(&bytes).as_ref(), Ok(deal));
}

#[test]
fn every_checkpoint_round_trips() {
    for checkpoint in ALL {
        round_trip(&at(checkpoint));
    }
    round_trip(&offline());
}

#[test]
fn labels_keep_their_kind() {
    // Edge case 17: the reference cannot read an empty label of bytes back, and then lists nothing at all.
    let labels = [
        Label::Text(String::new()),
        Label::Bytes(Vec::new()),
        Label::Text("x".to_owned()),
        Label::Bytes(b"x".to_vec()),
        // Edge case 16: bytes that are no text.
        Label::Bytes(vec![0xff, 0xfe]),
    ];
    for label in labels {
        let mut deal = at(Checkpoint::Accepted);
        let mut proposal = deal.signed.proposal.clone();
        proposal.label = label;
        deal.signed = sign(proposal);
        round_trip(&deal);
    }
}

#[test]
fn every_hold_round_trips() {
    for hold in [Hold::None, Hold::Auto { until: u64::MAX }, Hold::Manual] {
        let mut deal = at(Checkpoint::Published);
        deal.hold = hold;
        round_trip(&deal);
    }
}

#[test]
fn a_newer_record_is_refused_by_its_version() {
    let mut bytes = at(Checkpoint::Accepted).encode();
    bytes[0] = VERSION + 1;
    assert_eq!(Deal::decode(&bytes), Err(RecordError::Version(2)));
    assert_eq!(
        RecordError::Version(2).to_string(),
        "the record has format 2, this release reads up to 1: use a newer release"
    );
}

#[test]
fn damage_is_an_error() {
    let malformed = |bytes: &[u8]| {
        assert!(
            matches!(Deal::decode(bytes), Err(RecordError::Malformed(_))),
            "{bytes:02x?}"
        );
    };
    malformed(&[]);
    malformed(&[0]);
    malformed(&[1]);
    malformed(&[1, 0xa0]);
    malformed(&[1, 0xff, 0xff]);
    let whole = at(Checkpoint::Published).encode();
    for cut in 1..whole.len() {
        malformed(&whole[..cut]);
    }
}

/// A newer release may add fields to this version and still be followed by an older binary.
#[test]
fn unknown_fields_are_skipped() {
    #[derive(minicbor::Encode)]
    #[cbor(map)]
    struct Newer {
        #[n(0)]
        path: String,
        #[n(1)]
        delete_after: bool,
        #[n(9)]
        unknown: Vec<u64>,
    }
    let newer = versioned(
        1,
        &Newer {
            path: "/a".to_owned(),
            delete_after: true,
            unknown: vec![1, 2],
        },
    );
    let import = Import::new("/a", true);
    assert_eq!(read_versioned(1, &newer), Ok(import));
}

#[test]
fn debug_output_has_no_credentials() {
    let deal = at(Checkpoint::Accepted);
    assert!(String::from_utf8_lossy(&deal.request.params).contains("hidden"));
    assert!(!format!("{deal:?}").contains("hidden"));
    let bytes: String = format!("{:?}", deal.request.params);
    assert!(!format!("{deal:?}").contains(&bytes[1..20]));
}

prop_compose! {
    fn proposals()(
        commitment in any::<[u8; 32]>(),
        piece_size in any::<u64>(),
        verified in any::<bool>(),
        client in 0..u64::MAX / 2,
        provider in 0..u64::MAX / 2,
        label in prop_oneof![
            any::<Vec<u8>>().prop_map(Label::Bytes),
            any::<String>().prop_map(Label::Text),
        ],
        epochs in any::<(i64, i64)>(),
        amounts in any::<(i128, i128, i128)>(),
    ) -> DealProposal {
        DealProposal {
            piece_cid: cids::piece_cid(&commitment),
            piece_size,
            verified,
            client: Address::id(client),
            provider: Address::id(provider),
            label,
            start_epoch: epochs.0,
            end_epoch: epochs.1,
            price_per_epoch: atto(amounts.0),
            provider_collateral: atto(amounts.1),
            client_collateral: atto(amounts.2),
        }
    }
}

prop_compose! {
    fn requests()(
        texts in any::<[String; 5]>(),
        params in any::<Vec<u8>>(),
        size in any::<u64>(),
        switches in any::<[bool; 3]>(),
    ) -> Request {
        let [kind, client_id, host, data_root, peer] = texts;
        let [offline, skip_announce, remove_unsealed] = switches;
        Request { kind, params, size, client_id, host, offline, skip_announce, remove_unsealed, data_root, peer }
    }
}

fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(Ending::Expired),
        Just(Ending::Slashed),
        Just(Ending::Terminated),
        Just(Ending::NeverActive),
    ]
}

prop_compose! {
    fn deals()(
        uuid in any::<u128>(),
        times in any::<[u64; 3]>(),
        checkpoint in 0..7_u8,
        proposal in proposals(),
        signature in proptest::collection::vec(any::<u8>(), 1..96),
        request in requests(),
        import in proptest::option::of(any::<(String, bool, u64, bool)>()),
        numbers in any::<(u64, Option<u128>, Option<[u8; 8]>, Option<u64>, Option<(u64, u64)>, u32)>(),
        texts in any::<[String; 2]>(),
        switches in any::<[bool; 3]>(),
        (received, id) in (any::<u64>(), proptest::option::of(0..u64::MAX / 2)),
        on_chain in (any::<Option<i64>>(), proptest::option::of((endings(), any::<i64>()))),
        hold in prop_oneof![
            Just(Hold::None),
            any::<u64>().prop_map(|until| Hold::Auto { until }),
            Just(Hold::Manual),
            Just(Hold::Room),
        ],
    ) -> Deal {
        let (payload_size, order, message, chain_deal_id, sector, tries) = numbers;
        let [sealing, error] = texts;
        Deal {
            uuid: Uuid::from_u128(uuid),
            created: times[0],
            updated: times[1],
            checkpoint_at: times[2],
            checkpoint: Checkpoint::from_number(checkpoint).unwrap(),
            chain_cid: proposal.cid(),
            signed: crate::filecoin::ClientDealProposal {
                proposal,
                signature: Signature { kind: SignatureKind::Bls, data: signature },
            },
            client_key: client_key().address(),
            client_id: id.map(Address::id),
            request,
            import: import.map(|(path, delete_after, place, begun)| {
                Import { path, delete_after, place, begun }
            }),
            payload_size,
            order: order.map(Uuid::from_u128),
            publish_cid: message.map(|bytes| cids::chain_cid(&bytes)),
            chain_deal_id,
            handing_over: switches[0],
            sector: sector.map(|(number, offset)| Sector { number, offset }),
            sealing,
            sealed: switches[1],
            error,
            hold,
            tries,
            late: switches[2],
            received,
            activated: on_chain.0,
            over: on_chain.1.map(|(how, epoch)| Over { how, epoch }),
            failed_messages: tries / 2,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_deal_round_trips(deal in deals()) {
        prop_assert_eq!(Deal::decode(&deal.encode()), Ok(deal));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = Deal::decode(&bytes);
    }

    #[test]
    fn a_flipped_byte_is_read_or_refused(deal in deals(), place in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = deal.encode();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        let _ = Deal::decode(&bytes);
    }
}

/// A record as version 1 wrote it; never edited. If this fails, files of released versions cannot be read any more.
#[test]
fn version_1_is_read_for_ever() {
    let stored = crate::deal::tests::samples::unhex(include_str!("data/deal-v1.hex"));
    let deal = Deal::decode(&stored).unwrap();
    assert_eq!(deal, kept());
    assert_eq!(
        deal.encode(),
        stored,
        "and the same bytes are still written"
    );
}

/// What the stored record holds; every field has a value of its own.
fn kept() -> Deal {
    let mut deal = at(Checkpoint::IndexedAndAnnounced);
    // A later field: the first release did not store it.
    deal.client_id = None;
    let mut proposal = deal.signed.proposal.clone();
    proposal.label = Label::Bytes(vec![0xff, 0x00]);
    deal.signed = crate::filecoin::ClientDealProposal {
        proposal,
        signature: Signature {
            kind: SignatureKind::Secp256k1,
            data: vec![0x5a; 65],
        },
    };
    deal.updated += 1;
    deal.checkpoint_at += 2;
    deal.request.skip_announce = true;
    deal.request.remove_unsealed = true;
    deal.import = Some(Import::new("/srv/a.car", true));
    deal.order = Some(uuid(0xc0));
    deal.sealing = "PreCommit1".to_owned();
    deal.sealed = true;
    deal.error = "an error".to_owned();
    deal.hold = Hold::Auto { until: 9 };
    deal.tries = 3;
    deal
}

#[test]
fn failed_messages_are_counted_and_absent_from_old_records() {
    let mut deal = at(Checkpoint::Published);
    let old = deal.encode();
    assert_eq!(Deal::decode(&old).unwrap().failed_messages, 0);
    // The map has no entry more than before the count was there.
    let members = |bytes: &[u8]| minicbor::Decoder::new(&bytes[1..]).map().unwrap();
    deal.failed_messages = 2;
    round_trip(&deal);
    assert_eq!(members(&deal.encode()), members(&old).map(|n| n + 1));
}
