//! Real proxies before the gateway: HAProxy with both versions of the PROXY header, and nginx with a
//! forwarding header. Each is given a socket that is bound already, so no port is chosen by hand.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
};

use portcullis::wire::Transport;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::harness::{Call, Client, Gateway, Key, Setup, Upstream, tool_call};

const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);

/// A proxy that runs until it is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked, it ends its workers too.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Starts a program on a socket, with a configuration of which `{port}` and `{dir}` are known only now.
fn start(program: &str, arguments: &[&str], configuration: &str) -> Proxy {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("configuration");
    let text = configuration
        .replace("{port}", &address.port().to_string())
        .replace("{dir}", dir.path().to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    // Debian keeps both where only root looks.
    let installed = Path::new("/usr/sbin").join(program);
    let mut command =
        Command::new(if installed.exists() { &installed } else { Path::new(program) });
    // By this nginx knows that its socket is there already.
    command.args(arguments).arg(&file).env("NGINX", "0;");
    command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null()).stderr(Stdio::null());
    Proxy { child: command.spawn().unwrap(), address, _dir: dir }
}

fn haproxy(gateway: &Gateway, send: &str) -> Proxy {
    let to = gateway.address("told");
    let configuration = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n\
         listen before\n bind fd@0\n server gateway {to} source 127.0.0.2 {send}\n"
    );
    start("haproxy", &["-db", "-f"], &configuration)
}

fn nginx(gateway: &Gateway) -> Proxy {
    let to = gateway.address("http");
    let configuration = format!(
        "daemon off; pid {{dir}}/pid; error_log /dev/null;\n\
         events {{}}\nhttp {{ access_log off; client_body_temp_path {{dir}}/body;\n\
         proxy_temp_path {{dir}}/proxy; fastcgi_temp_path {{dir}}/fastcgi;\n\
         uwsgi_temp_path {{dir}}/uwsgi; scgi_temp_path {{dir}}/scgi;\n\
         server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://{to};\n\
         proxy_bind 127.0.0.2; proxy_set_header Host gateway.test; proxy_http_version 1.1;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n"
    );
    start("nginx", &["-c"], &configuration)
}

/// A client of the proxy, from an address of its own. The socket listens already: whoever connects
/// before the proxy accepts waits in its backlog.
async fn client(gateway: &Gateway, proxy: &Proxy) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((CLIENT, 0))).unwrap();
    gateway.client_on(Transport::Plain(socket.connect(proxy.address).await.unwrap()))
}

#[tokio::test]
async fn haproxy_tells_its_clients_address_in_both_versions_of_the_header() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .also("[[listeners]]\nname = \"told\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true")
        .also("[access]\ntrusted_proxies = [\"127.0.0.2\"]\nallow = [\"127.0.0.2\", \"127.0.0.7\"]")
        .start();
    for send in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"] {
        let proxy = haproxy(&gateway, send);
        let mut client = client(&gateway, &proxy).await;
        client.send(&Call::post("/api/mcp", &tool_call(1)).bearer(&Key::new())).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.7"), "{send}");
        assert_eq!(client.answer().await.status, 200);
    }
    let wrong = gateway.metric("portcullis_connections_total", &["proxy_header"]);
    assert_eq!(wrong, 0.0);
}

#[tokio::test]
async fn haproxys_own_checks_are_no_clients() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .also("[[listeners]]\nname = \"told\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true")
        .also("[access]\ntrusted_proxies = [\"127.0.0.2\"]")
        .start();
    // `check-send-proxy` says LOCAL: the check is let in as the proxy itself.
    let _proxy = haproxy(&gateway, "send-proxy-v2 check check-send-proxy inter 10s");
    let accepted = ["told", "accepted"];
    gateway.metric_becomes("portcullis_connections_total", &accepted, 1.0).await;
    assert_eq!(gateway.metric("portcullis_connections_total", &["proxy_header"]), 0.0);
}

#[tokio::test]
async fn nginx_appends_its_clients_address_and_that_hop_alone_is_believed() {
    let mut upstream = Upstream::start().await;
    let access = "[access]\ntrusted_proxies = [\"127.0.0.2\"]";
    let gateway = Setup::new(&upstream).also(access).start();
    let proxy = nginx(&gateway);
    let mut client = client(&gateway, &proxy).await;
    let call = Call::post("/api/mcp", &tool_call(1)).bearer(&Key::new());
    client
        .send(&call.field("x-forwarded-for", "198.51.100.1").field("x-real-ip", "198.51.100.2"))
        .await;
    let seen = upstream.answer("{}").await;
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.7"));
    assert_eq!(seen.field("x-real-ip"), None);
    assert_eq!(client.answer().await.status, 200);
}
