//! Varints, CIDs and the writing side.

use cid::Cid;

use super::super::car::{
    CarFault, MAX_CID, read_cid, read_varint, write_header, write_section_head, write_varint,
};
use super::unhex;

#[test]
fn varints() {
    let rows: [(u64, &str); 8] = [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (0xf101, "81e203"),
        (1 << 62, "808080808080808040"),
        ((1 << 63) - 1, "ffffffffffffffff7f"),
    ];
    for (value, text) in rows {
        let bytes = unhex(text);
        let mut written = Vec::new();
        write_varint(value, &mut written);
        assert_eq!(written, bytes, "{value}");
        let mut longer = bytes.clone();
        longer.push(0xff);
        assert_eq!(read_varint(&longer), Ok(Some((value, bytes.len()))));
        for short in 0..bytes.len() {
            assert_eq!(
                read_varint(&bytes[..short]),
                Ok(None),
                "{value} cut to {short}"
            );
        }
    }
}

#[test]
fn varints_that_are_refused() {
    for text in [
        "8000",
        "ff8000",
        "80808080808080808001",
        "ffffffffffffffffff01",
    ] {
        assert_eq!(read_varint(&unhex(text)), Err(CarFault::Varint), "{text}");
    }
}

#[test]
fn cids_of_both_versions() {
    let texts = [
        "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq",
        "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
        "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
        "bafkqaaa",
    ];
    for text in texts {
        let cid: Cid = text.parse().unwrap();
        let mut bytes = cid.to_bytes();
        let len = bytes.len();
        bytes.extend([1, 2, 3]);
        let raw = read_cid(&bytes).unwrap().expect("whole");
        assert_eq!(raw.len, len);
        assert_eq!(raw.to_cid(), Some(cid));
        assert_eq!(raw.to_indexed().is_none(), text == "bafkqaaa");
        for short in 0..len {
            assert!(
                read_cid(&bytes[..short]).unwrap().is_none(),
                "{text} cut to {short}"
            );
        }
    }
}

#[test]
fn cids_that_are_refused() {
    let fault = |text: &str| read_cid(&unhex(text)).err();
    assert_eq!(fault("0055122000"), Some(CarFault::CidVersion(0)));
    assert_eq!(fault("0255122000"), Some(CarFault::CidVersion(2)));
    // The first bytes of a CIDv0 with another digest length are a version 18.
    assert_eq!(fault("1221000000"), Some(CarFault::CidVersion(0x12)));
    assert_eq!(fault("01558000"), Some(CarFault::Varint));
    assert_eq!(
        fault("015512ffffffffffffffff7f"),
        Some(CarFault::CidLength((1 << 63) + 11))
    );
}

#[test]
fn long_digests_are_read_but_not_kept() {
    let mut bytes = vec![0x01, 0x55, 0x12];
    write_varint(MAX_CID as u64 - 5, &mut bytes);
    assert_eq!(bytes.len(), 5);
    bytes.resize(MAX_CID, 7);
    let raw = read_cid(&bytes).unwrap().expect("whole");
    assert_eq!(raw.len, MAX_CID);
    assert!(raw.to_cid().is_none() && raw.to_indexed().is_none());

    let mut longer = vec![0x01, 0x55, 0x12];
    write_varint(MAX_CID as u64 - 4, &mut longer);
    assert_eq!(
        read_cid(&longer).err(),
        Some(CarFault::CidLength(MAX_CID as u64 + 1))
    );
}

#[test]
fn headers() {
    let root: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
        .parse()
        .unwrap();
    let header = write_header(&[root]);
    assert_eq!((header.len(), header[0]), (59, 0x3a));
    let v0: Cid = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"
        .parse()
        .unwrap();
    assert_eq!(write_header(&[v0])[0], 0x38);
    let empty: Cid = "bafkqaaa".parse().unwrap();
    let probe = "19a265726f6f747381d82a4500015500006776657273696f6e01";
    assert_eq!(write_header(&[empty]), unhex(probe));
    assert_eq!(
        write_header(&[]),
        unhex("11a265726f6f7473806776657273696f6e01")
    );
}

#[test]
fn section_heads() {
    let cid: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
        .parse()
        .unwrap();
    let head = write_section_head(&cid, 5);
    assert_eq!(head[0], 0x29);
    assert_eq!(head[1..], cid.to_bytes());
    assert_eq!(write_section_head(&cid, 1 << 20)[..3], [0xa4, 0x80, 0x40]);
}

#[test]
fn faults_survive_being_saved() {
    let faults = [
        CarFault::Varint,
        CarFault::HeaderLength(1),
        CarFault::HeaderSyntax,
        CarFault::Version(2),
        CarFault::DataOffset(3),
        CarFault::DataSize(4),
        CarFault::IndexOffset(5),
        CarFault::SectionLength(6),
        CarFault::PastData,
        CarFault::SectionShort,
        CarFault::CidVersion(7),
        CarFault::CidLength(8),
        CarFault::Truncated,
    ];
    for fault in faults {
        let (kind, value) = fault.to_saved();
        assert_eq!(CarFault::from_saved(kind, value), Some(fault));
        assert!(!fault.to_string().is_empty());
    }
    assert_eq!(CarFault::from_saved(13, 0), None);
}
