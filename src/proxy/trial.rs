//! What the page would say of a request that nobody sent.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::{
    admit,
    place::{Entered, Known, Place, Room, Stopped},
    redirect, respond,
    state::{Door, DoorKind, State, head_limits},
};
use crate::{
    observe::LoggablePath,
    policy::Consumer,
    snapshot::{Lead, Route},
    types::{Denial, Drain, Method},
    wire::{Client, Connection, HeadTimeouts, NextHead, RequestHead, Transport, next_request_head},
};

/// A request that is whole when it is asked about waits for nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the page said.
pub struct Heard {
    /// Why it refused, and with which status that is told; `None` where the request may go on.
    pub denial: Option<(Denial, u16)>,
    /// It is answered by a redirect to TLS.
    pub is_redirected: bool,
    /// The route, if one was found.
    pub route: Option<Arc<Route>>,
    /// The consumer, if the key is one's.
    pub consumer: Option<Arc<Consumer>>,
    /// The client's address as policy sees it.
    pub client: IpAddr,
    /// Whether a key was found.
    pub has_key: bool,
    /// The path, as a log shows it.
    pub path: LoggablePath,
}

/// Asks the page about a request that came from `peer` through `door`: head and body, as they would
/// be sent. It is the page of every other request, so what it says here is what it would say.
///
/// # Errors
/// Where the machine has no loopback socket to spare.
pub async fn hear(state: &State, door: &Door, peer: IpAddr, request: &[u8]) -> io::Result<Heard> {
    let mut connection = Connection::new(Transport::Plain(nobody().await?));
    connection.buffer().extend_from_slice(request);
    let world = state.world.load_full();
    let routes = Arc::clone(&world.snapshot.routes);
    let (_drain, draining) = Drain::new();
    let room = Room::Connection;
    let limits = head_limits(&world.snapshot);
    let place = Place {
        state,
        world,
        routes: &routes,
        door,
        peer,
        via: peer,
        certificate: None,
        begins: 0,
        room,
        trusted: false,
        draining,
        life: None,
    };
    let timeouts = HeadTimeouts::First { head: PATIENCE };
    let head = next_request_head(&mut connection, limits, timeouts).await?;
    let mut client = Client::Http1(&mut connection);
    let (known, said) = match head {
        NextHead::Request(head) => {
            let mut known = Known::arrived(&place, head.method, head.framing);
            let said = ask(&place, &mut client, &head, &mut known).await;
            (known, said)
        }
        NextHead::Refused(denial) => {
            let known = Known::arrived(&place, Method::Other, crate::wire::Framing::None);
            (known, Err(denial.into()))
        }
        NextHead::Closed | NextHead::Silent(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let denial = match said {
        Ok(()) => None,
        Err(Stopped::Denied(denial)) => Some(denial),
        Err(Stopped::Judged(judged)) => Some(judged.denial),
        Err(Stopped::Gone) => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let status = |denial| respond::status_of(&known, denial).as_u16();
    let denial = denial.map(|denial| (denial, status(denial)));
    Ok(Heard {
        is_redirected: denial.is_none() && matches!(door.kind, DoorKind::Redirect { .. }),
        denial,
        route: known.route,
        consumer: known.consumer,
        client: known.client,
        path: known.path,
        has_key: known.key.is_some(),
    })
}

/// The way of an exchange to its permit.
async fn ask(
    place: &Place<'_>,
    client: &mut Client<'_>,
    head: &RequestHead,
    known: &mut Known,
) -> Result<(), Stopped> {
    if let DoorKind::Redirect { port } = place.door.kind {
        redirect::to_tls(place, head, (port, known))?;
        return Ok(());
    }
    let (lead, source) = admit::enter(place, head, known)?;
    match lead {
        // A preflight, which is answered as it is.
        Lead::Mcp(_) if head.method == Method::Options => {}
        Lead::Mcp(lead) => {
            admit::admit(place, head, &Entered { lead, source }, client, known).await?;
        }
        Lead::Web(lead) => {
            admit::visit(place, head, &Entered { lead, source })?;
        }
    }
    Ok(())
}

/// A connection of which nothing will come: the request is there already.
async fn nobody() -> io::Result<TcpStream> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let (near, _) =
        tokio::try_join!(TcpStream::connect(listener.local_addr()?), listener.accept())?;
    Ok(near)
}
