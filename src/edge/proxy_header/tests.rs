use proptest::prelude::*;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::*;

fn block_of(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let length = u16::try_from(behind.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, behind].concat()
}

fn v4_block() -> Vec<u8> {
    block_of(0x21, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb])
}

/// The source as text, `own` where the proxy speaks for itself.
fn source(bytes: &[u8]) -> Result<Option<String>, NoProxyHeader> {
    let own = || "own".to_owned();
    let text = |header: ProxyHeader| header.source.map_or_else(own, |source| source.to_string());
    ProxyHeader::read(bytes).map(|header| header.map(text))
}

#[test]
fn a_line_of_version_1_tells_the_source() {
    for (text, told) in [
        ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", "192.0.2.1:56324"),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"),
        ("PROXY TCP6 2001:DB8::1 ::1 0 443\r\nGET /", "[2001:db8::1]:0"),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 1\r\n", "192.0.2.1:1"),
        ("PROXY UNKNOWN\r\n", "0.0.0.0:0"),
        ("PROXY UNKNOWN ffff:f...f:ffff whatever 99999 x\r\n", "0.0.0.0:0"),
    ] {
        assert_eq!(source(text.as_bytes()), Ok(Some(told.to_owned())), "{text:?}");
    }
}

#[test]
fn what_the_specification_does_not_have_is_no_line() {
    for text in [
        "proxy TCP4 192.0.2.1 10.0.0.1 1 1\r\n",
        "PROXY  TCP4 192.0.2.1 10.0.0.1 1 1\r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 1 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 1\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 1\r\r\n",
        "PROXY UNKNOWN\rx\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP5 192.0.2.1 10.0.0.1 1 1\r\n",
        "PROXY UDP4 192.0.2.1 10.0.0.1 1 1\r\n",
        "PROXY TCP4 2001:db8::1 ::1 1 1\r\n",
        "PROXY TCP6 192.0.2.1 10.0.0.1 1 1\r\n",
        "PROXY TCP6 fe80::1%1 ::1 1 1\r\n",
        "PROXY TCP4 192.0.2.01 10.0.0.1 1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 01 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1  1\r\n",
        "PROXY UNKNOWN \u{fffd}\n",
        "GET / HTTP/1.1\r\n",
    ] {
        assert_eq!(source(text.as_bytes()), Err(NoProxyHeader), "{text:?}");
    }
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let line = |length: usize| {
        let begin = "PROXY UNKNOWN ";
        [begin, &"x".repeat(length - begin.len() - 2), "\r\n"].concat()
    };
    assert_eq!(source(line(107).as_bytes()), Ok(Some("0.0.0.0:0".to_owned())));
    assert_eq!(source(line(108).as_bytes()), Err(NoProxyHeader));
    assert_eq!(source(&line(108).as_bytes()[..106]), Ok(None), "it may still end");
    assert_eq!(source(&line(108).as_bytes()[..107]), Err(NoProxyHeader), "it can't any more");
}

#[test]
fn a_block_of_version_2_tells_the_source() {
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[32..34].copy_from_slice(&[0x01, 0xbb]);
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    let with_more = [&v6[..], &[0x05, 0, 2, 0xab, 0xcd]].concat();
    for (bytes, told) in [
        (v4_block(), "192.0.2.1:56324"),
        (block_of(0x21, 0x21, &v6), "[2001:db8::]:443"),
        (block_of(0x21, 0x21, &with_more), "[2001:db8::]:443"),
        (block_of(0x21, 0x21, &mapped), "192.0.2.1:0"),
        (block_of(0x20, 0x00, &[]), "own"),
        (block_of(0x20, 0x11, &[1; 12]), "own"),
        (block_of(0x20, 0x31, &[1; 216]), "own"),
        (block_of(0x21, 0x00, &[7; 9]), "0.0.0.0:0"),
        (block_of(0x21, 0x00, &[7; 520]), "0.0.0.0:0"),
    ] {
        let read = ProxyHeader::read(&bytes).unwrap().unwrap();
        assert_eq!(read.length, bytes.len());
        assert_eq!(source(&bytes), Ok(Some(told.to_owned())), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_has_no_address_of_tcp_is_no_block() {
    for bytes in [
        block_of(0x11, 0x11, &[1; 12]),
        block_of(0x31, 0x11, &[1; 12]),
        block_of(0x22, 0x11, &[1; 12]),
        block_of(0x21, 0x01, &[1; 12]),
        block_of(0x21, 0x10, &[1; 12]),
        block_of(0x21, 0x12, &[1; 12]),
        block_of(0x21, 0x22, &[1; 36]),
        block_of(0x21, 0x31, &[1; 216]),
        block_of(0x21, 0x41, &[1; 36]),
        block_of(0x21, 0x11, &[1; 11]),
        block_of(0x21, 0x21, &[1; 35]),
        block_of(0x21, 0x11, &[1; 521]),
        block_of(0x20, 0x00, &[1; 521]),
        b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
        b"\x16\x03\x01".to_vec(),
    ] {
        assert_eq!(source(&bytes), Err(NoProxyHeader), "{}", bytes.escape_ascii());
    }
    // Refused by its head alone: nobody waits for what would be too much.
    assert_eq!(source(&block_of(0x21, 0x11, &[1; 521])[..16]), Err(NoProxyHeader));
}

proptest! {
    #[test]
    fn a_header_is_the_same_however_it_was_cut_and_whatever_follows(
        whole in prop_oneof![
            Just(v4_block()),
            Just(block_of(0x20, 0, &[])),
            Just(b"PROXY UNKNOWN x\r\n".to_vec()),
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| {
                format!("PROXY TCP4 {} 10.0.0.1 {port} 1\r\n", Ipv4Addr::from(ip)).into_bytes()
            }),
            (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| {
                format!("PROXY TCP6 {} ::1 1 {port}\r\n", Ipv6Addr::from(ip)).into_bytes()
            }),
        ],
        rest in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let header = ProxyHeader::read(&whole).unwrap().unwrap();
        prop_assert_eq!(header.length, whole.len());
        for end in 0..whole.len() {
            prop_assert_eq!(ProxyHeader::read(&whole[..end]), Ok(None));
        }
        prop_assert_eq!(ProxyHeader::read(&[whole, rest].concat()), Ok(Some(header)));
    }

    #[test]
    fn any_bytes_are_a_header_none_or_the_beginning_of_one(
        begin in prop_oneof![
            Just(Vec::new()),
            Just(b"PROXY ".to_vec()),
            Just(b"PROXY TCP4 ".to_vec()),
            Just(SIGNATURE.to_vec()),
            Just([SIGNATURE.as_slice(), &[0x21, 0x11]].concat()),
        ],
        rest in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let bytes = [begin, rest].concat();
        match ProxyHeader::read(&bytes) {
            Ok(Some(header)) => prop_assert!(header.length <= bytes.len().min(LONGEST_BLOCK)),
            Ok(None) => prop_assert!(bytes.len() < LONGEST_BLOCK),
            Err(NoProxyHeader) => {}
        }
    }
}

/// Sends a header and what follows it in pieces, and gives what was read, and what was left.
async fn through_a_socket(pieces: &[&[u8]], deadline: Duration) -> Option<(ProxyHeader, Vec<u8>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    near.set_nodelay(true).unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    let sending = async {
        for piece in pieces {
            near.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        near.shutdown().await.unwrap();
    };
    let taking = async {
        let header = take_proxy_header(&mut far, deadline).await.ok()?;
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        Some((header, rest))
    };
    tokio::join!(sending, taking).1
}

#[tokio::test]
async fn not_a_byte_behind_the_header_is_taken_however_the_bytes_come() {
    let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";
    for header in [line.to_vec(), v4_block()] {
        let all = [header.as_slice(), b"\x16\x03\x01 and what follows"].concat();
        for size in [1, 2, 13, 16, 1000] {
            let pieces: Vec<_> = all.chunks(size).collect();
            let (read, rest) = through_a_socket(&pieces, Duration::from_secs(10)).await.unwrap();
            assert_eq!(read.source.unwrap().to_string(), "192.0.2.1:56324");
            assert_eq!(rest, b"\x16\x03\x01 and what follows", "in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_its_header_has_none() {
    for bytes in [&b""[..], b"PROXY TCP4 192.0.2.1", &v4_block()[..20]] {
        assert!(through_a_socket(&[bytes], Duration::from_secs(10)).await.is_none());
    }
}

#[tokio::test]
async fn a_header_that_is_late_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    near.write_all(b"PROXY ").await.unwrap();
    let taken = take_proxy_header(&mut far, Duration::from_millis(50)).await;
    assert_eq!(taken, Err(NoProxyHeader));
}
