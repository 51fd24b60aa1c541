//! `[[listeners]]`.

use std::{net::SocketAddr, sync::Arc};

use super::{
    Span, acme, certificates, client_authorities, defaults,
    once::Once,
    reading::Reading,
    table::{Item, Table},
};
use crate::{
    snapshot::{Certificate, Listener, ListenerKind, Tls},
    types::Name,
};

/// A listener as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Option<(Name, Span)>,
    pub(super) address: Option<(SocketAddr, Span)>,
    pub(super) speaks: Speaks,
    /// Where `proxy_protocol = true` is written, if it is.
    pub(super) proxy_protocol: Option<Span>,
}

pub(super) enum Speaks {
    Plain,
    /// With the certificates that could be read, and what is ordered beside them.
    Tls(Tls, Option<acme::Draft>),
    /// The listener that is redirected to, if its name could be read.
    Redirect(Option<(Name, Span)>),
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<Draft> {
    let example = "[[listeners]] with name = \"http\" and address = \"127.0.0.1:8080\"";
    let Some(item) = root.require("listeners", example, reading) else { return Vec::new() };
    let mut names = Once::new("first here");
    let mut drafts = Vec::new();
    for table in item.tables("[[listeners]]", reading) {
        let draft = one(table, reading);
        if let Some((name, at)) = &draft.name {
            names.note(name.clone(), at, "another listener has this name", reading);
        }
        drafts.push(draft);
    }
    drafts
}

fn one(mut table: Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let name = table.require("name", "name = \"https\"", reading);
    let name = name.and_then(|item| item.name(reading));
    let address = table.require("address", "address = \"0.0.0.0:443\"", reading);
    let address =
        address.and_then(|item| item.socket_address(reading).map(|address| (address, item.at)));
    let (tls, redirect) = (table.take("tls"), table.take("redirect"));
    if let (Some(tls), Some(redirect)) = (&tls, &redirect) {
        let place = reading.place(&tls.name_at);
        reading
            .error(&redirect.name_at, "a listener either speaks TLS or redirects")
            .hint("remove one of the two")
            .related(place, "speaks TLS here");
    }
    let speaks = match (tls, redirect) {
        (Some(item), _) => {
            let (tls, acme) = read_tls(&item, reading);
            Speaks::Tls(tls, acme)
        }
        (None, Some(item)) => Speaks::Redirect(item.name(reading)),
        (None, None) => Speaks::Plain,
    };
    let proxy_protocol = table.take("proxy_protocol");
    let proxy_protocol =
        proxy_protocol.and_then(|item| item.flag(reading)?.then(|| item.name_at.clone()));
    table.finish(&[], reading);
    Draft { name, address, speaks, proxy_protocol }
}

fn read_tls(item: &Item<'_>, reading: &mut Reading<'_>) -> (Tls, Option<acme::Draft>) {
    let Some(mut table) = item.table("`tls`", reading) else {
        let (certificates, http2) = (Vec::new(), defaults::HTTP2);
        return (Tls { certificates, acme: None, http2, clients: None }, None);
    };
    let http2 = table.take("protocols").map(|item| http2(&item, reading));
    let draft = table.take("acme").map(|item| acme::read(&item, reading));
    let certificates = certificates(&mut table, draft.is_some(), reading);
    let clients = client_authorities::read(&mut table, reading).map(Arc::new);
    table.finish(&[], reading);
    let acme = draft.as_ref().and_then(|draft| draft.acme.clone()).map(Arc::new);
    (Tls { certificates, acme, http2: http2.unwrap_or(defaults::HTTP2), clients }, draft)
}

/// `protocols`: whether HTTP/2 is one. HTTP/1.1 always is: nothing else can switch to WebSocket.
fn http2(item: &Item<'_>, reading: &mut Reading<'_>) -> bool {
    let items = item.list(reading).unwrap_or_default();
    let choices = [("h2", true), ("http/1.1", false)];
    let spoken: Vec<bool> = items.iter().filter_map(|i| i.choice(reading, &choices)).collect();
    if !spoken.contains(&false) && spoken.len() == items.len() {
        reading
            .error(&item.at, "`protocols` lacks \"http/1.1\", which every client speaks")
            .hint("write [\"h2\", \"http/1.1\"], or [\"http/1.1\"] alone");
    }
    spoken.contains(&true)
}

fn certificates(
    table: &mut Table<'_>,
    ordered: bool,
    reading: &mut Reading<'_>,
) -> Vec<Certificate> {
    let example = "certificates = [{ cert = \"tls/fullchain.pem\", key = \"tls/privkey.pem\" }]";
    let list = if ordered {
        table.take("certificates")
    } else {
        table.require("certificates", example, reading)
    };
    let Some(list) = list else { return Vec::new() };
    let tables = list.tables("`certificates`", reading);
    tables.into_iter().filter_map(|table| certificates::read(table, reading)).collect()
}

/// The listener itself; `None` where its draft has an error.
pub(super) fn compile(draft: &Draft, all: &[Draft]) -> Option<Listener> {
    let kind = match &draft.speaks {
        Speaks::Plain => ListenerKind::Plain,
        Speaks::Tls(tls, _) => ListenerKind::Tls(tls.clone()),
        Speaks::Redirect(to) => {
            let (to, _) = to.as_ref()?;
            let target =
                all.iter().find(|d| d.name.as_ref().is_some_and(|(name, _)| name == to))?;
            ListenerKind::Redirect { port: target.address.as_ref()?.0.port() }
        }
    };
    let (name, address) = (draft.name.as_ref()?.0.clone(), draft.address.as_ref()?.0);
    Some(Listener { name, address, kind, proxy_protocol: draft.proxy_protocol.is_some() })
}
