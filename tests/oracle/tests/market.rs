//! Proposals, publish parameters and returns against the storage market actor's own types.

use coracle::filecoin::market_actor::{
    PublishReturn, decode_add_balance, decode_publish, decode_withdraw, decode_withdraw_return,
    encode_add_balance, encode_authenticate, encode_publish, encode_withdraw,
    encode_withdraw_return,
};
use coracle::filecoin::{
    Address, ClientDealProposal, DealProposal, Label, Signature, SignatureKind, TokenAmount, cids,
};
use fil_actor_market_state::v19 as actor;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::{from_slice, to_vec};
use fvm_shared::address::Address as TheirAddress;
use fvm_shared::bigint::BigInt;
use fvm_shared::crypto::signature::{Signature as TheirSignature, SignatureType};
use fvm_shared::econ::TokenAmount as TheirAmount;
use fvm_shared::piece::PaddedPieceSize;
use proptest::prelude::*;

/// Any proposal, also one that the actor would drop.
fn proposal() -> impl Strategy<Value = DealProposal> {
    let piece = (any::<[u8; 32]>(), any::<u64>(), any::<bool>());
    let parties = (address(), address(), label());
    let epochs = (any::<i64>(), any::<i64>());
    let amounts = (amount(), amount(), amount());
    (piece, parties, epochs, amounts).prop_map(
        |((root, piece_size, verified), (client, provider, label), epochs, amounts)| DealProposal {
            piece_cid: cids::piece_cid(&root),
            piece_size,
            verified,
            client,
            provider,
            label,
            start_epoch: epochs.0,
            end_epoch: epochs.1,
            price_per_epoch: amounts.0,
            provider_collateral: amounts.1,
            client_collateral: amounts.2,
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        (0..=i64::MAX as u64).prop_map(Address::id),
        any::<[u8; 20]>().prop_map(|sub| Address::ethereum(&sub)),
        prop::collection::vec(any::<u8>(), 48)
            .prop_map(|key| Address::bls(&key.try_into().expect("48 bytes"))),
        prop::collection::vec(any::<u8>(), 65)
            .prop_map(|key| Address::secp256k1(&key.try_into().expect("65 bytes"))),
    ]
}

fn label() -> impl Strategy<Value = Label> {
    prop_oneof![
        ".{0,80}".prop_map(Label::Text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Label::Bytes),
    ]
}

fn amount() -> impl Strategy<Value = TokenAmount> {
    prop_oneof![Just(0), any::<i128>()].prop_map(TokenAmount::from_atto)
}

fn signature() -> impl Strategy<Value = Signature> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 65).prop_map(|data| Signature {
            kind: SignatureKind::Secp256k1,
            data
        }),
        prop::collection::vec(any::<u8>(), 96).prop_map(|data| Signature {
            kind: SignatureKind::Bls,
            data
        }),
    ]
}

fn signed() -> impl Strategy<Value = ClientDealProposal> {
    (proposal(), signature()).prop_map(|(proposal, signature)| ClientDealProposal {
        proposal,
        signature,
    })
}

fn their_address(ours: &Address) -> TheirAddress {
    TheirAddress::from_bytes(ours.as_bytes()).expect("our address")
}

fn their_amount(ours: &TokenAmount) -> TheirAmount {
    TheirAmount::from_atto(ours.to_string().parse::<BigInt>().expect("our amount"))
}

fn their_proposal(ours: &DealProposal) -> actor::DealProposal {
    actor::DealProposal {
        piece_cid: ours.piece_cid,
        piece_size: PaddedPieceSize(ours.piece_size),
        verified_deal: ours.verified,
        client: their_address(&ours.client),
        provider: their_address(&ours.provider),
        label: match &ours.label {
            Label::Text(text) => actor::Label::String(text.clone()),
            Label::Bytes(bytes) => actor::Label::Bytes(bytes.clone()),
        },
        start_epoch: ours.start_epoch,
        end_epoch: ours.end_epoch,
        storage_price_per_epoch: their_amount(&ours.price_per_epoch),
        provider_collateral: their_amount(&ours.provider_collateral),
        client_collateral: their_amount(&ours.client_collateral),
    }
}

fn their_signed(ours: &ClientDealProposal) -> actor::ClientDealProposal {
    let sig_type = match ours.signature.kind {
        SignatureKind::Secp256k1 => SignatureType::Secp256k1,
        SignatureKind::Bls => SignatureType::BLS,
        SignatureKind::Delegated => unreachable!("not made here"),
    };
    actor::ClientDealProposal {
        proposal: their_proposal(&ours.proposal),
        client_signature: TheirSignature {
            sig_type,
            bytes: ours.signature.data.clone(),
        },
    }
}

proptest! {
    #[test]
    fn proposals(ours in proposal()) {
        let theirs = their_proposal(&ours);
        let bytes = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(ours.encode(), bytes.clone());
        prop_assert_eq!(DealProposal::decode(&bytes), Ok(ours.clone()));
        let back: actor::DealProposal = from_slice(&ours.encode()).expect("our CBOR");
        prop_assert_eq!(back, theirs);
        let is_piece = actor::is_piece_cid(&ours.piece_cid);
        prop_assert!(is_piece && cids::piece_commitment(&ours.piece_cid).is_some());
    }

    #[test]
    fn durations_and_fees(ours in proposal(), start in 0_i64..10_000_000, len in 0_i64..4_000_000) {
        let ours = DealProposal { start_epoch: start, end_epoch: start + len, ..ours };
        let theirs = their_proposal(&ours);
        prop_assert_eq!(ours.duration(), Some(theirs.duration()));
        prop_assert_eq!(their_amount(&ours.storage_fee()), theirs.total_storage_fee());
    }

    #[test]
    fn publish_params(ours in prop::collection::vec(signed(), 0..5)) {
        let deals = ours.iter().map(their_signed).collect();
        let theirs = actor::PublishStorageDealsParams { deals };
        let bytes = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(encode_publish(&ours), bytes.clone());
        prop_assert_eq!(decode_publish(&bytes), Ok(ours.clone()));
        let back: actor::PublishStorageDealsParams = from_slice(&bytes).expect("our CBOR");
        prop_assert_eq!(back, theirs);
        for deal in &ours {
            let bytes = to_vec(&their_signed(deal)).expect("CBOR");
            prop_assert_eq!(deal.encode(), bytes.clone());
            prop_assert_eq!(ClientDealProposal::decode(&bytes), Ok(deal.clone()));
        }
    }

    #[test]
    fn publish_returns(published in prop::collection::vec(any::<Option<u64>>(), 0..200)) {
        let ids: Vec<u64> = published.iter().flatten().copied().collect();
        let positions = (0..).zip(&published).filter(|(_, id)| id.is_some()).map(|(n, _)| n);
        let valid_deals = BitField::try_from_bits(positions).expect("small positions");
        let theirs = actor::PublishStorageDealsReturn { ids, valid_deals };
        let bytes = to_vec(&theirs).expect("CBOR");
        let ours = PublishReturn::decode(&bytes).expect("their return");
        prop_assert_eq!(ours.encode(), bytes.clone());
        for (n, id) in (0..).zip(&published) {
            prop_assert_eq!(ours.deal_id(n), *id);
        }
        prop_assert_eq!(ours.deal_id(published.len() as u64), None);
        let back: actor::PublishStorageDealsReturn = from_slice(&ours.encode()).expect("ours");
        prop_assert_eq!(back, theirs);
    }

    #[test]
    fn balances(who in address(), n in amount()) {
        let theirs = actor::AddBalanceParams { provider_or_client: their_address(&who) };
        let bytes = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(encode_add_balance(&who), bytes.clone());
        prop_assert_eq!(decode_add_balance(&bytes), Ok(who.clone()));
        let theirs = actor::WithdrawBalanceParams {
            provider_or_client: their_address(&who),
            amount: their_amount(&n),
        };
        let bytes = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(encode_withdraw(&who, &n), bytes.clone());
        prop_assert_eq!(decode_withdraw(&bytes), Ok((who, n.clone())));
        let theirs = actor::WithdrawBalanceReturn { amount_withdrawn: their_amount(&n) };
        let bytes = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(encode_withdraw_return(&n), bytes.clone());
        prop_assert_eq!(decode_withdraw_return(&bytes), Ok(n));
    }

    #[test]
    fn authentication(signature in prop::collection::vec(any::<u8>(), 0..100),
                      message in prop::collection::vec(any::<u8>(), 0..300)) {
        let theirs = actor::ext::account::AuthenticateMessageParams {
            signature: signature.clone(),
            message: message.clone(),
        };
        prop_assert_eq!(encode_authenticate(&signature, &message), to_vec(&theirs).expect("CBOR"));
    }

    /// One byte of a valid proposal changed: what both read is the same, and the chain's own
    /// reader takes everything that we write after reading it.
    #[test]
    fn mutated_proposals(ours in signed(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = ours.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = ClientDealProposal::decode(&bytes) {
            if read.signature.kind != SignatureKind::Delegated {
                let again: actor::ClientDealProposal = from_slice(&read.encode()).expect("ours");
                prop_assert_eq!(again, their_signed(&read));
            }
        }
    }
}
