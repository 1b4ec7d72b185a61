//! One connection's part of [`super::streams`]: it negotiates protocols and passes the raw streams on.

use super::OpenError;
use futures::channel::oneshot;
use futures::future::{Ready, ready};
use libp2p::core::upgrade::UpgradeInfo;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
};
use libp2p::{InboundUpgrade, OutboundUpgrade, Stream, StreamProtocol};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the two sides may take to agree on a stream's protocol; the read deadline of a request (spec boost-mk12
/// 1.6) begins only after it.
const NEGOTIATION_WAIT: Duration = Duration::from_secs(10);

/// Streams that have arrived on one connection and that the swarm has not yet taken over. It takes them at once
/// unless it is overwhelmed; then refusing is right.
const MAX_ARRIVED: usize = 64;

/// The protocols offered on a stream; the outcome is the stream with the protocol that was agreed on.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer(pub(super) Vec<StreamProtocol>);

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = Agreed;
    type Error = Infallible;
    type Future = Ready<Result<Agreed, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok(Agreed { stream, protocol }))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = Agreed;
    type Error = Infallible;
    type Future = Ready<Result<Agreed, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok(Agreed { stream, protocol }))
    }
}

/// A stream and the protocol that both sides agreed to speak on it.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) stream: Stream,
    pub(super) protocol: StreamProtocol,
}

/// Who waits for a stream; dropping it tells them that the connection was lost.
pub(super) type OpenReply = oneshot::Sender<Result<Agreed, OpenError>>;

/// The order to open a stream.
pub(super) struct Open {
    pub(super) offer: Offer,
    pub(super) reply: OpenReply,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.offer).finish()
    }
}

pub(super) struct Handler {
    served: Offer,
    to_open: VecDeque<Open>,
    arrived: VecDeque<Agreed>,
}

impl Handler {
    pub(super) fn new(served: Offer) -> Self {
        Self {
            served,
            to_open: VecDeque::new(),
            arrived: VecDeque::new(),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Agreed;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenReply;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        SubstreamProtocol::new(self.served.clone(), ()).with_timeout(NEGOTIATION_WAIT)
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Offer, OpenReply, Agreed>> {
        if let Some(agreed) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(agreed));
        }
        while let Some(Open { offer, reply }) = self.to_open.pop_front() {
            if !reply.is_canceled() {
                let protocol = SubstreamProtocol::new(offer, reply).with_timeout(NEGOTIATION_WAIT);
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
            }
        }
        // Both queues are filled by calls on this handler, after each of which the connection polls again.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.to_open.push_back(open);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer, (), OpenReply>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) if self.arrived.len() < MAX_ARRIVED => {
                self.arrived.push_back(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => {
                // Who gave up meanwhile drops the stream, which resets it.
                let _ = info.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let _ = info.send(Err(match error {
                    StreamUpgradeError::Timeout => OpenError::TimedOut,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Io(_) => OpenError::ConnectionLost,
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}
