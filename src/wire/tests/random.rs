//! Messages made at random come back as they were, and random bytes never do more than fail.

use super::{params, signature, uuid};
use crate::filecoin::{Label, TokenAmount};
use crate::wire::{
    AskRequest, AskResponse, DealParams, DealResponse, DealStatusRequest, DealStatusResponse,
    StorageAsk, Transport, Transports,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn decode_all(bytes: &[u8]) {
    let _ = DealParams::decode(bytes);
    let _ = DealResponse::decode(bytes);
    let _ = DealStatusRequest::decode(bytes);
    let _ = DealStatusResponse::decode(bytes);
    let _ = AskRequest::decode(bytes);
    let _ = AskResponse::decode(bytes);
    let _ = StorageAsk::decode(bytes);
    let _ = Transports::decode(bytes);
}

proptest! {
    #[test]
    fn deal_params_come_back(
        id in any::<u128>(),
        size in any::<u64>(),
        kind in ".{0,40}",
        url in vec(any::<u8>(), 0..600),
        flags in any::<[bool; 3]>(),
        label in vec(any::<u8>(), 0..300),
        epochs in any::<[i32; 2]>(),
        price in any::<i128>(),
        has in any::<[bool; 2]>(),
    ) {
        let mut message = params();
        message.uuid = uuid::Uuid::from_u128(id);
        message.transfer.size = size;
        message.transfer.kind = kind;
        message.transfer.params = url;
        [message.offline, message.skip_announce, message.remove_unsealed] = flags;
        if let Some(signed) = &mut message.proposal {
            signed.proposal.label = Label::Bytes(label);
            signed.proposal.start_epoch = epochs[0].into();
            signed.proposal.end_epoch = epochs[1].into();
            signed.proposal.price_per_epoch = TokenAmount::from_atto(price);
        }
        message.proposal = message.proposal.filter(|_| has[0]);
        message.data_root = message.data_root.filter(|_| has[1]);
        prop_assert_eq!(DealParams::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn answers_come_back(error in ".{0,200}", numbers in any::<[u64; 2]>(), flag in any::<bool>()) {
        let response = DealStatusResponse {
            error: error.clone(),
            uuid: uuid(),
            offline: flag,
            status: None,
            transfer_size: numbers[0],
            bytes_received: numbers[1],
        };
        prop_assert_eq!(DealStatusResponse::decode(&response.encode()).unwrap(), response);
        let response = DealResponse { accepted: flag, message: error };
        prop_assert_eq!(DealResponse::decode(&response.encode()).unwrap(), response);
    }

    #[test]
    fn transports_come_back(names in vec(".{0,20}", 0..5), address in vec(any::<u8>(), 0..60)) {
        let transports = Transports(names.into_iter().map(|name| Transport {
            name,
            addresses: vec![address.clone(); 3],
        }).collect());
        prop_assert_eq!(Transports::decode(&transports.encode()).unwrap(), transports);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn a_broken_byte_does_no_harm(place in 0usize..430, value in any::<u8>()) {
        let mut bytes = params().encode();
        bytes[place] = value;
        decode_all(&bytes);
    }

    #[test]
    fn a_part_of_a_message_is_never_a_message(length in 0usize..430) {
        prop_assert!(DealParams::decode(&params().encode()[..length]).is_err());
    }

    #[test]
    fn a_part_of_a_request_is_never_one(length in 0usize..100) {
        let request = DealStatusRequest { uuid: uuid(), signature: signature() }.encode();
        prop_assert!(length >= request.len() || DealStatusRequest::decode(&request[..length]).is_err());
    }
}
