//! The hand-over directory: what is laid out, in which form, what a sealer may answer, and that doing it again changes nothing.

use super::Piece;
use super::add_piece::go;
use crate::filecoin::cids;
use crate::sealer::{Directory, Names, Sealer, SealerError, SectorPlace};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use uuid::Uuid;

/// A hand-over directory beside a staging directory, removed in the end.
struct Place {
    root: PathBuf,
    directory: Directory,
}

impl Place {
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("coracle-handover-{}", Uuid::new_v4()));
        let directory = Directory::open(&root.join("out"), &root.join("staging")).unwrap();
        Self { root, directory }
    }

    /// Opened anew, as after a crash.
    fn again(&mut self) {
        self.directory =
            Directory::open(&self.root.join("out"), &self.root.join("staging")).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join("out").join(name)
    }

    fn names(&self) -> BTreeSet<String> {
        fs::read_dir(self.root.join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn add(&self, piece: &Piece) -> Result<Option<SectorPlace>, SealerError> {
        self.directory.add_piece(&piece.handover, &go())
    }

    fn find(&self, piece: &Piece) -> Result<Option<SectorPlace>, SealerError> {
        let handover = &piece.handover;
        self.directory
            .find(handover.deal_id, &handover.proposal.piece_cid)
    }

    fn clear(&self, piece: &Piece) {
        let handover = &piece.handover;
        self.directory
            .clear(handover.deal_id, &handover.proposal.piece_cid)
            .unwrap();
    }

    fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap()
    }

    fn answer(&self, name: &str, result: &Value) {
        fs::write(self.file(name), result.to_string()).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Another deal with the same piece, in a file of its own.
fn another(deal_id: u64) -> Piece {
    let mut piece = Piece::new(1_500);
    piece.handover.deal_id = deal_id;
    piece.handover.deal = Uuid::from_u128(u128::from(deal_id));
    piece
}

fn names(piece: &Piece) -> (Names, Names) {
    let handover = &piece.handover;
    let cid = &handover.proposal.piece_cid;
    (Names::short(cid), Names::long(cid, handover.deal_id))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const PLACE: SectorPlace = SectorPlace {
    sector: 45,
    offset: 2_048,
};

fn result(deal_id: u64) -> Value {
    json!({"DealID": deal_id, "Sector": 45, "Offset": 2_048})
}

#[test]
fn a_piece_is_linked_and_described() {
    let place = Place::new();
    let piece = Piece::new(1_500);
    assert_eq!(place.add(&piece), Ok(None));
    let cid = piece.handover.proposal.piece_cid.to_string();
    let (short, _) = names(&piece);
    assert_eq!(short.document, format!("{cid}.json"));
    assert_eq!(place.names(), set(&[&short.data, &short.document]));
    // The same bytes under another name, not a copy of them.
    let (ours, theirs) = (
        fs::metadata(&piece.handover.file).unwrap(),
        fs::metadata(place.file(&short.data)).unwrap(),
    );
    assert_eq!((ours.dev(), ours.ino()), (theirs.dev(), theirs.ino()));
    assert_eq!(
        place.document(&short.document),
        json!({
            "Format": 1,
            "Deal": "00000000-0000-0000-0000-000000000007",
            "Miner": "f01234",
            "PieceCID": {"/": cid},
            "PieceSize": 2_048,
            "UnpaddedSize": 2_032,
            "File": format!("{cid}.car"),
            "PayloadSize": 1_500,
            "Result": format!("{cid}.result.json"),
            "PublishCid": {"/": piece.handover.publish_cid.to_string()},
            "DealID": 70_112_233,
            "DealProposal": {
                "PieceCID": {"/": cid},
                "PieceSize": 2_048,
                "VerifiedDeal": true,
                "Client": "f05678",
                "Provider": "f01234",
                "Label": "example-label",
                "StartEpoch": 5_200_000,
                "EndEpoch": 6_718_400,
                "StoragePricePerEpoch": "0",
                "ProviderCollateral": "8500000",
                "ClientCollateral": "0",
            },
            "DealSchedule": {"StartEpoch": 5_200_000, "EndEpoch": 6_718_400},
            "PieceActivationManifest": null,
            "KeepUnsealed": true,
        })
    );
    assert_eq!(place.find(&piece), Ok(None));
    let known = (
        piece.handover.deal,
        piece.handover.deal_id,
        piece.handover.proposal.piece_cid,
    );
    assert_eq!(place.directory.laid_out(), Ok(vec![known]));
}

#[test]
fn a_result_closes_it_and_everything_goes() {
    let place = Place::new();
    let piece = Piece::new(1_500);
    place.add(&piece).unwrap();
    let (short, _) = names(&piece);
    place.answer(&short.result, &result(piece.handover.deal_id));
    assert_eq!(place.find(&piece), Ok(Some(PLACE)));
    place.clear(&piece);
    assert_eq!(place.names(), set(&[]));
    // The data that the sealer had is ours as before.
    assert_eq!(fs::read(&piece.handover.file).unwrap(), piece.bytes);
    place.clear(&piece);
    assert_eq!(place.directory.laid_out(), Ok(Vec::new()));
}

#[test]
fn doing_it_again_changes_nothing() {
    let mut place = Place::new();
    let piece = Piece::new(1_500);
    place.add(&piece).unwrap();
    let (short, _) = names(&piece);
    let written = fs::metadata(place.file(&short.document)).unwrap();
    // The sealer has taken the data away to its own disk: it does not get it twice.
    fs::remove_file(place.file(&short.data)).unwrap();
    place.again();
    assert_eq!(place.add(&piece), Ok(None));
    assert_eq!(place.names(), set(&[&short.document]));
    let now = fs::metadata(place.file(&short.document)).unwrap();
    assert_eq!(now.ino(), written.ino(), "written again");
}

#[test]
fn what_a_crash_left_half_is_made_whole() {
    let piece = Piece::new(1_500);
    let (short, _) = names(&piece);
    let unfinished = format!(".{}.tmp", short.document);
    type Half = fn(&Place, &Names, &str);
    let halves: [Half; 4] = [
        |place, _, unfinished| fs::write(place.file(unfinished), "{\"Form").unwrap(),
        |place, names, _| fs::write(place.file(&names.data), "of an older deal").unwrap(),
        |place, names, unfinished| {
            fs::write(place.file(&names.data), "of an older deal").unwrap();
            fs::write(place.file(unfinished), "").unwrap();
        },
        |place, names, _| fs::write(place.file(&names.result), result(1).to_string()).unwrap(),
    ];
    for (number, half) in halves.into_iter().enumerate() {
        let place = Place::new();
        half(&place, &short, &unfinished);
        assert_eq!(place.add(&piece), Ok(None), "{number}");
        let bytes = fs::read(place.file(&short.data)).unwrap();
        assert_eq!(bytes, piece.bytes, "{number}");
        assert_eq!(place.document(&short.document)["PayloadSize"], 1_500);
        assert!(!place.names().contains(&unfinished), "{number}");
        // A result of another deal is none of ours, and stays.
        assert_eq!(place.find(&piece), Ok(None), "{number}");
        place.clear(&piece);
        let foreign = if number == 3 { 1 } else { 0 };
        assert_eq!(place.names().len(), foreign, "{number}");
    }
}

#[test]
fn two_deals_with_one_piece_have_a_document_each() {
    let place = Place::new();
    let (first, second, third) = (another(8), another(9), another(10));
    place.add(&first).unwrap();
    place.add(&second).unwrap();
    place.add(&second).unwrap();
    let (short, _) = names(&first);
    let (_, long) = names(&second);
    assert_eq!(
        place.names(),
        set(&[&short.data, &short.document, &long.document])
    );
    let described = place.document(&long.document);
    assert_eq!(described["DealID"], 9);
    assert_eq!(described["File"], short.data);
    assert_eq!(described["Result"], long.result);
    let deals: BTreeSet<u64> = place
        .directory
        .laid_out()
        .unwrap()
        .into_iter()
        .map(|(_, deal_id, _)| deal_id)
        .collect();
    assert_eq!(deals, BTreeSet::from([8, 9]));
    // The second ends first; the data stays for the other.
    place.answer(&long.result, &result(9));
    assert_eq!(place.find(&second), Ok(Some(PLACE)));
    assert_eq!(place.find(&first), Ok(None));
    place.clear(&second);
    assert_eq!(place.names(), set(&[&short.data, &short.document]));
    // Now the first ends, while a third has come under a name of its own.
    place.add(&third).unwrap();
    place.clear(&first);
    let (_, long) = names(&third);
    assert_eq!(place.names(), set(&[&short.data, &long.document]));
    // Asked again the third finds its document, although the short name is free.
    place.add(&third).unwrap();
    assert_eq!(place.names(), set(&[&short.data, &long.document]));
    place.clear(&third);
    assert_eq!(place.names(), set(&[]));
}

#[test]
fn deals_with_one_piece_come_at_the_same_time() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for deal_id in 1..=8 {
            let place = &place;
            scope.spawn(move || place.add(&another(deal_id)).unwrap());
        }
    });
    let deals: BTreeSet<u64> = place
        .directory
        .laid_out()
        .unwrap()
        .into_iter()
        .map(|(_, deal_id, _)| deal_id)
        .collect();
    assert_eq!(deals, (1..=8).collect());
    assert_eq!(place.names().len(), 9, "one file for all");
}

#[test]
fn a_shorter_file_of_the_same_piece_is_described_as_it_lies_there() {
    // Zeros at the end belong to the piece either way: both files hold the same piece.
    let place = Place::new();
    let first = another(8);
    let mut second = another(9);
    second.bytes.extend([0; 100]);
    fs::write(&second.handover.file, &second.bytes).unwrap();
    second.handover.payload_size = 1_600;
    place.add(&first).unwrap();
    place.add(&second).unwrap();
    let (_, long) = names(&second);
    assert_eq!(place.document(&long.document)["PayloadSize"], 1_500);
}

#[test]
fn what_a_sealer_may_answer() {
    let place = Place::new();
    let piece = Piece::new(1_500);
    place.add(&piece).unwrap();
    let (short, long) = names(&piece);
    let id = piece.handover.deal_id;
    let found = |text: &str| {
        fs::write(place.file(&short.result), text).unwrap();
        place.find(&piece)
    };
    let good = result(id).to_string();
    assert_eq!(found(&good), Ok(Some(PLACE)));
    assert_eq!(found(&result(id + 1).to_string()), Ok(None));
    // More than is asked for does no harm.
    let more = json!({"DealID": id, "Sector": 45, "Offset": 2_048, "State": "WaitSeed"});
    assert_eq!(found(&more.to_string()), Ok(Some(PLACE)));
    let wrong = [
        ("", "not JSON"),
        (&good[..20], "not JSON"),
        ("[]", "no DealID"),
        ("{\"DealID\": \"70112233\"}", "no DealID"),
        ("{\"DealID\": 70112233, \"Offset\": 0}", "no Sector"),
        (
            "{\"DealID\": 70112233, \"Sector\": -1, \"Offset\": 0}",
            "no Sector",
        ),
        ("{\"DealID\": 70112233, \"Sector\": 1}", "no Offset"),
    ];
    for (text, expected) in wrong {
        let error = found(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains(&short.result), "{error}");
    }
    let large = format!("{good}{}", " ".repeat(64 << 10));
    assert!(found(&large).unwrap_err().to_string().contains("too large"));
    let failed = json!({"DealID": id, "Error": "no space\n\u{1b}[31m"}).to_string();
    let error = found(&failed).unwrap_err().to_string();
    assert!(error.contains("no space  [31m"), "{error}");
    // A later result replaces it; the other name is read too.
    fs::remove_file(place.file(&short.result)).unwrap();
    place.answer(&long.result, &result(id));
    assert_eq!(place.find(&piece), Ok(Some(PLACE)));
    // What cannot be read goes with its deal.
    fs::write(place.file(&short.result), "half").unwrap();
    place.clear(&piece);
    assert_eq!(place.names(), set(&[]));
}

#[test]
fn a_result_that_is_no_file_does_not_hang() {
    let place = Place::new();
    let piece = Piece::new(1_500);
    place.add(&piece).unwrap();
    let (short, _) = names(&piece);
    fs::create_dir(place.file(&short.result)).unwrap();
    let error = place.find(&piece).unwrap_err().to_string();
    assert!(error.contains("no file"), "{error}");
}

#[test]
fn a_file_that_is_not_what_was_recorded_is_refused() {
    let place = Place::new();
    let mut piece = Piece::new(1_500);
    piece.handover.payload_size = 1_499;
    let error = place.add(&piece).unwrap_err();
    assert!(matches!(error, SealerError::File(_)), "{error}");
    piece.handover.file = place.file("nowhere");
    assert!(matches!(place.add(&piece), Err(SealerError::File(_))));
    assert_eq!(place.names(), set(&[]));
}

#[test]
fn a_directory_on_another_file_system_is_refused() {
    // Most machines that run this have memory behind one and a disk behind the other.
    let shared = PathBuf::from("/dev/shm");
    let device = |path: &std::path::Path| fs::metadata(path).map(|found| found.dev()).ok();
    let place = Place::new();
    if device(&shared).is_none() || device(&shared) == device(&place.root) {
        eprintln!("no second file system here");
        return;
    }
    let elsewhere = shared.join(format!("coracle-handover-{}", Uuid::new_v4()));
    let refused = Directory::open(&elsewhere, &place.root.join("staging")).unwrap_err();
    assert!(refused.contains("different file systems"), "{refused}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "left behind");
    assert_eq!(
        fs::read_dir(place.root.join("staging")).unwrap().count(),
        0,
        "left behind"
    );
    let file = elsewhere.join("import.car");
    fs::write(&file, "data").unwrap();
    let error = place.directory.could_take(&file).unwrap_err().to_string();
    assert!(error.contains("different file systems"), "{error}");
    let mut piece = Piece::new(4);
    fs::write(&file, &piece.bytes).unwrap();
    let ours = std::mem::replace(&mut piece.handover.file, file);
    let error = place.add(&piece).unwrap_err();
    assert!(matches!(&error, SealerError::File(text) if text.contains("different file systems")));
    assert_eq!(place.names(), set(&[]));
    assert_eq!(place.directory.could_take(&ours), Ok(()));
    let _ = fs::remove_file(ours);
    fs::remove_dir_all(elsewhere).unwrap();
}

#[test]
fn a_file_that_cannot_be_linked_is_known_before() {
    // Every Linux has this file system, and nothing can be linked out of it.
    let place = Place::new();
    let error = place.directory.could_take("/proc/version".as_ref());
    assert!(
        matches!(&error, Err(SealerError::File(text))
            if text.contains("/proc/version") && text.contains("different file systems")),
        "{error:?}"
    );
    // Nor can anything be made in it: such a directory, or such a staging area, stops the start.
    let staging = place.root.join("staging");
    for (directory, staging) in [
        ("/proc/coracle-handover".into(), staging),
        (place.root.join("other"), "/proc/coracle-staging".into()),
    ] {
        let refused = Directory::open(&directory, &staging).unwrap_err();
        assert!(refused.contains("/proc/coracle-"), "{refused}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    let file = place.root.join("a file");
    fs::write(&file, "").unwrap();
    let refused = Directory::open(&file, &place.root.join("staging")).unwrap_err();
    assert!(refused.contains("a file"), "{refused}");
}

#[test]
fn files_are_as_readable_as_their_directory() {
    let place = Place::new();
    for (directory, expected) in [(0o700, 0o600), (0o2750, 0o640), (0o755, 0o644)] {
        let mode = fs::Permissions::from_mode(directory);
        fs::set_permissions(place.root.join("out"), mode).unwrap();
        let piece = Piece::new(1_500);
        fs::set_permissions(&piece.handover.file, fs::Permissions::from_mode(0o600)).unwrap();
        place.add(&piece).unwrap();
        let (short, _) = names(&piece);
        for name in [&short.data, &short.document] {
            let found = fs::metadata(place.file(name)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, expected, "{name} below {directory:o}");
        }
        place.clear(&piece);
    }
}

#[test]
fn other_people_s_files_are_left_alone() {
    let place = Place::new();
    let piece = Piece::new(1_500);
    let cid = piece.handover.proposal.piece_cid;
    let foreign = [
        "notes.json".to_owned(),
        "README".to_owned(),
        format!("{cid}.car.part"),
        format!("{cid}.claimed.json"),
        format!("{}.car", cids::piece_cid(&[4; 32])),
    ];
    for name in &foreign {
        fs::write(place.file(name), "theirs").unwrap();
    }
    place.add(&piece).unwrap();
    assert_eq!(place.directory.laid_out().unwrap().len(), 1);
    place.clear(&piece);
    assert_eq!(place.names(), foreign.into_iter().collect());
}
