//! One conversation with providers, from a thread that has nothing else to do.

use crate::p2p::{Node, NodeConfig, P2pError};
use libp2p::identity::Keypair;
use std::future::Future;

/// Starts a node that only asks, under a name of its own that nobody will see again, lets `work` use it, and closes it.
///
/// # Errors
/// The node could not be started.
pub fn talk<T, F: Future<Output = T>>(work: impl FnOnce(Node) -> F) -> Result<T, P2pError> {
    let (node, driver, _nobody_asks_us) = Node::new(NodeConfig {
        key: Keypair::generate_ed25519(),
        listen: Vec::new(),
        external: Vec::new(),
        agent: format!("coracle/{}", env!("CARGO_PKG_VERSION")),
        serve: false,
    })?;
    let closing = node.clone();
    let talked = async {
        let result = work(node).await;
        closing.close().await;
        result
    };
    let driven = async {
        driver.await;
        // Should it end before the work, the node's methods say so there.
        std::future::pending().await
    };
    Ok(smol::block_on(smol::future::or(talked, driven)))
}
