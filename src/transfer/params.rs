//! `Transfer.Params`: the JSON in which a client says where its data is (spec boost-mk12 2.1).

use super::url::HttpUrl;
use serde_json::Value;
use std::fmt;

/// Longest parameters in bytes that are looked at. A URL and a 512-digit token take about 1 KiB; JSON values take up to
/// 30 times their text in memory, so the 2 MiB that the protocol allows are not parsed.
pub const MAX_PARAMS: usize = 64 * 1024;

/// Most headers of one transfer; they are sent with every request.
pub const MAX_HEADERS: usize = 64;

/// Most bytes of all header names and values together: what servers take as a request head (8 to 32 KiB) is not more.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Longest part of an unknown transfer type that is repeated in the answer.
const MAX_SHOWN_TYPE: usize = 64;

/// Parsed parameters. `Debug` shows neither, since both may hold credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferParams {
    /// As the client wrote it.
    pub url: String,
    /// Names and values, valid for HTTP.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for TransferParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferParams")
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// Why parameters are refused. The texts are those of the reference (spec boost-mk12 3.3 #1) without the raw bytes that
/// it repeats (11 #12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamsError {
    /// The transfer type is neither `http` nor `libp2p`; holds its beginning.
    UnknownType(String),
    /// Not the JSON that is expected; says what is wrong.
    NotJson(String),
    /// The URL cannot be fetched from; says why.
    BadUrl(String),
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(kind) => write!(
                f,
                "cannot parse params for unrecognized transfer type '{kind}'"
            ),
            Self::NotJson(what) => write!(f, "failed to de-serialize transport params: {what}"),
            Self::BadUrl(why) => write!(f, "cannot parse url: {why}"),
        }
    }
}

impl std::error::Error for ParamsError {}

/// Takes the parameters of a transfer of type `kind` apart.
///
/// Gives them with their host as written, `host:port`: that is what quotas and queues count by, so `a.com` and
/// `a.com:443` are two (spec boost-mk12 2.1). Keys are matched without regard to case, unknown ones are ignored.
///
/// # Errors
/// See [`ParamsError`]; no text repeats the parameters.
pub fn parse_params(kind: &str, params: &[u8]) -> Result<(TransferParams, String), ParamsError> {
    if kind != "http" && kind != "libp2p" {
        return Err(ParamsError::UnknownType(shown(kind)));
    }
    if params.len() > MAX_PARAMS {
        return Err(not_json("they are too long"));
    }
    let value: Value = serde_json::from_slice(params).map_err(|error| {
        // The library's own text may repeat a piece of the input.
        ParamsError::NotJson(format!(
            "not JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    })?;
    let Value::Object(fields) = value else {
        return Err(not_json("not an object"));
    };
    let url = match field(&fields, "URL") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(url)) => url.clone(),
        Some(_) => return Err(not_json("the URL is not a string")),
    };
    let headers = match field(&fields, "Headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(headers)) => parse_headers(headers)?,
        Some(_) => return Err(not_json("the headers are not an object")),
    };
    let host = HttpUrl::parse(&url)
        .map_err(|error| ParamsError::BadUrl(error.to_string()))?
        .written;
    Ok((TransferParams { url, headers }, host))
}

fn not_json(what: &str) -> ParamsError {
    ParamsError::NotJson(what.to_owned())
}

/// The beginning of a text from outside, without control characters.
fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut begin: String = text.chars().take(MAX_SHOWN_TYPE).map(clean).collect();
    if text.chars().nth(MAX_SHOWN_TYPE).is_some() {
        begin.push('…');
    }
    begin
}

/// The exact key, or else one that differs in case only, as Go's decoder finds it.
fn field<'a>(fields: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| {
        let mut matching = fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        matching.next_back().map(|(_, value)| value)
    })
}

fn parse_headers(
    fields: &serde_json::Map<String, Value>,
) -> Result<Vec<(String, String)>, ParamsError> {
    if fields.len() > MAX_HEADERS {
        return Err(not_json("there are too many headers"));
    }
    let mut bytes: usize = 0;
    let mut headers = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let value = match value {
            Value::String(value) => value.as_str(),
            Value::Null => "",
            _ => return Err(not_json("a header's value is not a string")),
        };
        if !is_token(name) {
            return Err(not_json("a header's name is not valid"));
        }
        // Line breaks would let a client write other headers, or a whole other request.
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(not_json("a header's value has a control character"));
        }
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        headers.push((name.clone(), value.to_owned()));
    }
    if bytes > MAX_HEADER_BYTES {
        return Err(not_json("the headers are too long"));
    }
    Ok(headers)
}

/// `token` of RFC 9110 section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<(TransferParams, String), ParamsError> {
        parse_params("http", json.as_bytes())
    }

    #[test]
    fn the_reference_clients_form_is_read() {
        let (params, host) =
            parse(r#"{"URL":"https://example.com/a.car","Headers":null}"#).unwrap();
        assert_eq!(params.url, "https://example.com/a.car");
        assert!(params.headers.is_empty());
        assert_eq!(host, "example.com");
        let (params, host) =
            parse(r#"{"headers":{"Authorization":"Basic OmFiYw=="},"x":{"y":[1]},"url":"http://a.com:81/x?a=1\u0026b=2"}"#)
                .unwrap();
        assert_eq!(params.url, "http://a.com:81/x?a=1&b=2");
        assert_eq!(
            params.headers,
            [("Authorization".to_owned(), "Basic OmFiYw==".to_owned())]
        );
        assert_eq!(host, "a.com:81");
    }

    #[test]
    fn an_exact_key_wins_over_one_in_another_case() {
        let (params, _) =
            parse(r#"{"url":"http://b/","URL":"http://a/","Url":"http://c/"}"#).unwrap();
        assert_eq!(params.url, "http://a/");
        assert!(parse(r#"{"uRL":"http://a/"}"#).is_ok());
    }

    #[test]
    fn the_type_is_checked_first_and_shown_bounded() {
        let error = parse_params("", b"").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot parse params for unrecognized transfer type ''"
        );
        let error = parse_params("graphsync", b"").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot parse params for unrecognized transfer type 'graphsync'"
        );
        let error = parse_params(&"é\n".repeat(4096), b"")
            .unwrap_err()
            .to_string();
        assert!(
            error.len() < 300 && !error.contains('\n') && error.contains('…'),
            "{error}"
        );
        assert!(parse_params("libp2p", br#"{"URL":"http://a/"}"#).is_ok());
        let p2p = br#"{"URL":"libp2p:///ip4/1.2.3.4/tcp/5/p2p/x"}"#;
        assert_eq!(
            parse_params("http", p2p).unwrap_err().to_string(),
            "cannot parse url: libp2p:// transfers are not supported"
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_parameters() {
        for (json, what) in [
            (
                r#"{"URL":"http://secret/"#,
                "failed to de-serialize transport params: not JSON at line 1 column 22",
            ),
            (
                r#"["secret"]"#,
                "failed to de-serialize transport params: not an object",
            ),
            (
                r#"{"URL":["secret"]}"#,
                "failed to de-serialize transport params: the URL is not a string",
            ),
            (
                r#"{"URL":"http://a","Headers":"secret"}"#,
                "failed to de-serialize transport params: the headers are not an object",
            ),
            (
                r#"{"URL":"http://a","Headers":{"A":["secret"]}}"#,
                "failed to de-serialize transport params: a header's value is not a string",
            ),
            (
                r#"{"URL":"http://a","Headers":{"A":"secret\r\nB: c"}}"#,
                "failed to de-serialize transport params: a header's value has a control character",
            ),
            (
                r#"{"URL":"http://a","Headers":{"A":"secret\u0000"}}"#,
                "failed to de-serialize transport params: a header's value has a control character",
            ),
            (
                r#"{"URL":"http://a","Headers":{"A b":"secret"}}"#,
                "failed to de-serialize transport params: a header's name is not valid",
            ),
            (
                r#"{"URL":"http://a","Headers":{"":"secret"}}"#,
                "failed to de-serialize transport params: a header's name is not valid",
            ),
            (r#"{"URL":""}"#, "cannot parse url: it is empty"),
            (r#"{"Headers":{}}"#, "cannot parse url: it is empty"),
            (
                r#"{"URL":"ftp://user:secret@a/"}"#,
                "cannot parse url: the scheme is neither http nor https",
            ),
            (
                r#"{"URL":"http://user:secret@a:99999/"}"#,
                "cannot parse url: the port is out of range",
            ),
        ] {
            let error = parse(json).unwrap_err();
            assert_eq!(error.to_string(), what, "{json}");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let many = |count: usize, value: &str| {
            let fields: Vec<String> = (0..count).map(|i| format!(r#""h{i}":"{value}""#)).collect();
            parse(&format!(
                r#"{{"URL":"http://a/","Headers":{{{}}}}}"#,
                fields.join(",")
            ))
        };
        assert_eq!(many(MAX_HEADERS, "x").unwrap().0.headers.len(), MAX_HEADERS);
        assert_eq!(
            many(MAX_HEADERS + 1, "x"),
            Err(not_json("there are too many headers"))
        );
        assert!(many(2, &"x".repeat(8000)).is_ok());
        assert_eq!(
            many(3, &"x".repeat(8000)),
            Err(not_json("the headers are too long"))
        );
        assert_eq!(
            parse(&" ".repeat(MAX_PARAMS + 1)),
            Err(not_json("they are too long"))
        );
        let deep = format!(r#"{{"x":{}}}"#, "[".repeat(30_000));
        assert!(matches!(parse(&deep), Err(ParamsError::NotJson(_))));
    }

    #[test]
    fn debug_shows_no_secret() {
        let (params, _) =
            parse(r#"{"URL":"http://a/?sig=secret","Headers":{"A":"secret"}}"#).unwrap();
        assert!(!format!("{params:?}").contains("secret"));
    }
}
