//! A real client over TLS and HTTP/2.

use std::process::Stdio;

use super::*;

/// A gateway that speaks TLS as well, and where.
fn house() -> (House, SocketAddr) {
    let (house, https) = (House::new(""), free());
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(house.dir.path().join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(house.dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    house.write(&house.text(&format!(
        "[[listeners]]\nname = \"https\"\naddress = \"{https}\"\n\
         tls = {{ certificates = [{{ cert = \"cert.pem\", key = \"key.pem\" }}] }}\n"
    )));
    (house, https)
}

/// curl, about to ask for that.
fn curl(house: &House, https: SocketAddr, more: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--no-buffer", "--http2", "--max-time", "20"]);
    command.arg("--cacert").arg(house.dir.path().join("cert.pem"));
    command.args(["--connect-to", &format!("a.test:{}:{https}", https.port())]);
    command.args(["-H", "authorization: Bearer one", "-H", "accept: text/event-stream"]);
    command.args(more).arg(format!("https://a.test:{}/api/mcp", https.port()));
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

#[test]
fn a_stream_of_http2_lives_on_and_the_next_call_comes_to_the_newer_process() {
    let (house, https) = house();
    let old = house.first();
    let mut streaming = curl(&house, https, &[]).spawn().unwrap();
    let mut lines = BufReader::new(streaming.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "data: tick");
    let new = house.upgrade(&old);
    let ticks = lines.by_ref().take(100).filter(|line| line.as_ref().unwrap() == "data: tick");
    assert_eq!(ticks.count(), 50);
    let json = "content-type: application/json";
    let call = ["-H", json, "--data", CALL, "--write-out", " %{http_version} %{http_code}"];
    let called = curl(&house, https, &call).output().unwrap();
    assert_eq!(String::from_utf8(called.stdout).unwrap(), "{} 2 200");
    new.signal("TERM");
    assert_eq!(new.ends().0, Some(0), "the stream isn't its own");
    assert_eq!(lines.by_ref().nth(1).unwrap().unwrap(), "data: tick");
    streaming.kill().unwrap();
    streaming.wait().unwrap();
    assert_eq!(old.ends().0, Some(0), "with its last stream it ends");
}
