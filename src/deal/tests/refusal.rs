//! Two texts, both bounded where they are made.

use crate::deal::Refusal;
use crate::deal::refusal::LOG_BYTES_MAX;
use crate::wire::{DealResponse, MAX_TEXT_BYTES};

#[test]
fn a_client_s_text_fits_its_message_and_ends_with_a_whole_character() {
    // Three bytes each: 8,192 is no multiple of three.
    for text in ["é", "好", "🚣", "x"].map(|c| c.repeat(9_000)) {
        let refusal = Refusal::new(text.clone(), "too long");
        let told = refusal.client();
        assert!(told.len() <= MAX_TEXT_BYTES && told.len() > MAX_TEXT_BYTES - 4);
        assert!(text.starts_with(told));
        let response = DealResponse {
            accepted: false,
            message: told.to_owned(),
        };
        assert_eq!(DealResponse::decode(&response.encode()), Ok(response));
    }
    let exact = "x".repeat(MAX_TEXT_BYTES);
    assert_eq!(Refusal::new(exact.clone(), "").client(), exact);
}

#[test]
fn a_prefix_does_not_make_it_longer() {
    let refusal = Refusal::at_fault("ü".repeat(5_000)).prefixed("failed validation: ");
    assert!(refusal.client().starts_with("failed validation: üü"));
    assert!(refusal.client().len() <= MAX_TEXT_BYTES);
    assert!(refusal.log().len() <= LOG_BYTES_MAX);
}

#[test]
fn the_log_s_text_is_one_line() {
    let refusal = Refusal::new("told\n as it is ", "first\nsecond\r\u{1b}[31m\0 third");
    assert_eq!(refusal.client(), "told\n as it is ");
    assert_eq!(refusal.log(), "first second  [31m  third");
}

#[test]
fn what_the_client_need_not_know_stays_in_the_log() {
    let refusal = Refusal::server_error("getting chain head", "connection refused");
    assert_eq!(refusal.client(), "server error: getting chain head");
    assert_eq!(
        refusal.log(),
        "server error: getting chain head: connection refused"
    );
}

#[test]
fn advice_is_for_the_operator() {
    let refusal = Refusal::advised("too small", "lower the limit");
    assert_eq!(refusal.client(), "too small");
    assert_eq!(refusal.log(), "too small; lower the limit");
}
