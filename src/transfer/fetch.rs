//! One attempt at a download: one GET, its redirects, and the body through the pass.

use super::answer::{Asked, Verdict, if_range, judge};
use super::pass::Pass;
use super::patience::{Fault, Patience};
use super::resolve::{MAX_ADDRESSES, Resolver};
use super::socket::{Pinned, Sockets};
use super::url::{HttpUrl, PrivatePrefix, may_connect, percent_decoded};
use super::{Failure, FetchLimits};
use base64::Engine;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ureq::http::{HeaderName, HeaderValue, Request, Response, header};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body, Timeout};

/// Redirects that are followed: storage services use one or two, more are a loop or a chase.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Buffer between socket and pass, and the library's own for input; with TLS there is a third. Together below 256 KiB.
const BUFFER: usize = 64 * 1024;
/// The library's output buffer: holds a request head, which `params::MAX_HEADER_BYTES` and `url::MAX_URL` bound.
const OUTPUT: usize = 32 * 1024;
/// Longest head of an answer in bytes; servers send less than 8 KiB.
const MAX_HEAD: usize = 32 * 1024;

/// How long the end of a body is waited for when all declared bytes are there: longer tells nothing new.
const END_WAIT: Duration = Duration::from_secs(2);

/// Headers that the transfer sets by itself, or that would change what the connection means.
const OWN_HEADERS: [HeaderName; 15] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    pub limits: &'a FetchLimits,
    pub private: &'a [PrivatePrefix],
    pub resolver: &'a Resolver,
    pub patience: Arc<Patience>,
}

impl Attempt<'_> {
    /// Brings the pass to `size` bytes, or says why not. `arrived` tells whether any byte came.
    pub fn run(
        &self,
        url: &str,
        headers: &[(String, String)],
        size: u64,
        pass: &mut Pass<'_>,
        arrived: &mut bool,
    ) -> Result<(), Failure> {
        let first = HttpUrl::parse(url)
            .map_err(|error| Failure::fatal(format!("cannot parse url: {error}")))?;
        let callers = callers_headers(&first, headers)?;
        let mut target = first.clone();
        // Once a redirect has led away, the headers stay behind, even if another one leads back.
        let mut trusted = true;
        let mut redirects: usize = 0;
        let mut asked_from_zero = false;
        loop {
            let response = self.ask(&target, trusted.then_some(&callers), pass)?;
            let asked = Asked {
                offset: pass.offset(),
                validator: pass.validator(),
                size,
            };
            match judge(
                response.status(),
                response.headers(),
                asked,
                SystemTime::now(),
            ) {
                Verdict::Continue { validator } => {
                    pass.set_validator(validator);
                    return self.receive(response, size, pass, arrived);
                }
                Verdict::Begin { validator, why } => {
                    if pass.offset() > 0 {
                        begin_again(&target, pass, why.unwrap_or("the server begins anew"))?;
                    }
                    pass.set_validator(validator);
                    return self.receive(response, size, pass, arrived);
                }
                Verdict::AskFromZero { why } if asked_from_zero => return Err(Failure::again(why)),
                Verdict::AskFromZero { why } => {
                    begin_again(&target, pass, why)?;
                    asked_from_zero = true;
                }
                Verdict::Redirect { location } => {
                    redirects = redirects.saturating_add(1);
                    if redirects > MAX_REDIRECTS {
                        return Err(Failure::fatal(format!(
                            "more than {MAX_REDIRECTS} redirects"
                        )));
                    }
                    target = target.join(&location).map_err(|error| {
                        Failure::fatal(format!("a redirect to a place that is no URL: {error}"))
                    })?;
                    trusted = trusted && target.same_origin(&first);
                }
                Verdict::Again { reason, after } => {
                    return Err(Failure::Again {
                        reason,
                        progress: false,
                        after,
                    });
                }
                Verdict::Fatal { reason } => return Err(Failure::Fatal { reason }),
            }
        }
    }

    /// Sends the request for what is missing, to an address that may be connected to.
    fn ask(
        &self,
        target: &HttpUrl,
        callers: Option<&Vec<(HeaderName, HeaderValue)>>,
        pass: &Pass<'_>,
    ) -> Result<Response<Body>, Failure> {
        let agent = self.agent(self.addresses(target)?);
        let mut request = Request::get(target.request_url())
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close");
        if pass.offset() > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", pass.offset()));
            if let Some(validator) = if_range(pass.validator()) {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        for (name, value) in callers.into_iter().flatten() {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|_| {
            Failure::fatal("the request cannot be written with this URL and these headers")
        })?;
        agent
            .run(request)
            .map_err(|error| self.failure(target, error))
    }

    /// The addresses of the target that may be connected to.
    pub fn addresses(&self, target: &HttpUrl) -> Result<Vec<SocketAddr>, Failure> {
        let mut addresses = self.resolver.resolve(
            &target.host,
            target.effective_port(),
            self.limits.resolve,
            &self.patience,
        )?;
        addresses.retain(|address| may_connect(target, address.ip(), self.private));
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            return Err(Failure::fatal(format!(
                "downloading from private ip addresses is not allowed ({})",
                target.written
            )));
        }
        Ok(addresses)
    }

    /// One agent per hop, since the addresses belong to the hop; there is nothing in it that would be worth keeping.
    fn agent(&self, addresses: Vec<SocketAddr>) -> Agent {
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(MAX_HEAD)
            .input_buffer_size(BUFFER)
            .output_buffer_size(OUTPUT)
            .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(self.limits.connect))
            .timeout_send_request(Some(self.limits.first_byte))
            .timeout_recv_response(Some(self.limits.first_byte))
            .build();
        let sockets = Sockets(Arc::clone(&self.patience)).chain(RustlsConnector::default());
        Agent::with_parts(config, sockets, Pinned(addresses))
    }

    /// Reads the body into the pass until the declared size is reached.
    fn receive(
        &self,
        response: Response<Body>,
        size: u64,
        pass: &mut Pass<'_>,
        arrived: &mut bool,
    ) -> Result<(), Failure> {
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER];
        self.patience.begin_body(self.limits.stall);
        loop {
            let full = pass.offset() == size;
            if full {
                self.patience.begin_body(END_WAIT.min(self.limits.stall));
            }
            let read = match body.read(&mut buffer) {
                Ok(read) => read,
                // The declared bytes are there, and the commitment will tell whether they are the right ones.
                Err(_) if full && !self.patience.stopped() => return Ok(()),
                Err(error) => return Err(self.broken(error, size, pass)),
            };
            let chunk = buffer.get(..read).unwrap_or_default();
            let bytes = u64::try_from(read).unwrap_or(u64::MAX);
            if chunk.is_empty() {
                return self.ended(size, pass);
            }
            let offset = pass.offset().saturating_add(bytes);
            if offset > size {
                return Err(Failure::fatal(format!(
                    "the server sent {offset} bytes or more, the deal declares {size}"
                )));
            }
            *arrived = true;
            self.patience.arrived(bytes);
            pass.take(chunk)?;
            if pass.stopped() {
                return Err(Failure::Stopped);
            }
        }
    }

    /// The body has ended without an error.
    fn ended(&self, size: u64, pass: &Pass<'_>) -> Result<(), Failure> {
        if self.patience.stopped() {
            return Err(Failure::Stopped);
        }
        if pass.offset() < size {
            let reason = format!("the body ended after {} of {size} bytes", pass.offset());
            return Err(Failure::again(reason));
        }
        Ok(())
    }

    /// The body ended with an error.
    fn broken(&self, error: std::io::Error, size: u64, pass: &Pass<'_>) -> Failure {
        let place = format!("after {} of {size} bytes", pass.offset());
        match self.patience.fault() {
            Some(Fault::Stopped) => Failure::Stopped,
            Some(Fault::Stalled) => Failure::again(format!(
                "body: stalled {place}: less than {} bytes in {} s",
                super::patience::MIN_BYTES_PER_WINDOW,
                self.limits.stall.as_secs_f32()
            )),
            None => Failure::again(format!("body: {} {place}", plain(ureq::Error::from(error)))),
        }
    }

    /// The request failed before there was an answer.
    fn failure(&self, target: &HttpUrl, error: ureq::Error) -> Failure {
        if self.patience.stopped() {
            return Failure::Stopped;
        }
        let host = &target.written;
        let limit = |limit: Duration| format!("no success in {} s", limit.as_secs_f32());
        let (phase, what) = match error {
            ureq::Error::Timeout(Timeout::Connect) => ("connecting to", limit(self.limits.connect)),
            ureq::Error::Timeout(Timeout::SendRequest) => {
                ("sending the request to", limit(self.limits.first_byte))
            }
            ureq::Error::Timeout(_) => ("waiting for the answer of", limit(self.limits.first_byte)),
            error => ("asking", plain(error)),
        };
        Failure::again(format!("{phase} {host}: {what}"))
    }
}

/// The library's error in words that repeat nothing of URL, headers or answer.
fn plain(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Timeout(_) => "time-out".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::LargeResponseHeader(_, _) => {
            format!("the head of the answer is longer than {MAX_HEAD} bytes")
        }
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => {
            "the answer is not valid HTTP/1.1".to_owned()
        }
        _ => "the request failed".to_owned(),
    }
}

fn begin_again(target: &HttpUrl, pass: &mut Pass<'_>, why: &str) -> Result<(), Failure> {
    log::warn!(
        "{}: beginning at byte 0 instead of {}: {why}",
        target.written,
        pass.offset()
    );
    pass.restart()
}

/// The headers that came with the deal, for the first origin only. A user in the URL becomes `Authorization`, as in the
/// reference's HTTP library, unless there is one.
fn callers_headers(
    url: &HttpUrl,
    headers: &[(String, String)],
) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let mut out = Vec::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::fatal("a header's name is not valid"))?;
        if OWN_HEADERS.contains(&name) || name.as_str().starts_with("proxy-") {
            continue;
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| Failure::fatal("a header's value is not valid"))?;
        value.set_sensitive(true);
        out.push((name, value));
    }
    let authorized = out.iter().any(|(name, _)| *name == header::AUTHORIZATION);
    if let (Some(user), false) = (&url.user, authorized) {
        out.push((header::AUTHORIZATION, basic(user)?));
    }
    Ok(out)
}

/// Basic authorization for the `user:password` of a URL.
fn basic(user: &str) -> Result<HeaderValue, Failure> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair = percent_decoded(name);
    pair.push(b':');
    pair.extend(percent_decoded(password));
    let text = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    );
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| Failure::fatal("the URL's user is not valid"))?;
    value.set_sensitive(true);
    Ok(value)
}
