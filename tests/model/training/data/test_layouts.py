"""Folders in the published layouts of data sets become manifest rows; videos are empty files."""

import json
from pathlib import Path

import pytest

from model.training.data.layouts import Imported, LayoutError, import_layout
from model.training.data.manifest import Sample, read_manifest, write_manifest


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def found(imported: Imported, root: Path) -> set[tuple[str, str, str]]:
    return {(s.path.relative_to(root).as_posix(), s.label, s.split) for s in imported.samples}


K400_TRAIN = """\
label,youtube_id,time_start,time_end,split,is_cc
testifying,---QUuC4vJs,84,94,train,0
eating spaghetti,--3ouPhoy2A,20,30,train,0
"passing American football (in game)",gone0000000,1,11,train,0
"""
K400_VAL = """\
label,youtube_id,time_start,time_end,split,is_cc
javelin throw,--07WQ2iBlw,1,11,validate,0
"""
K400_TEST = """\
youtube_id,time_start,time_end,split
-0oKI-BBoVc,0,10,test
"""


def test_kinetics_400_as_the_cvd_foundation_hosts_it(tmp_path: Path) -> None:
    write(tmp_path, "annotations/train.csv", K400_TRAIN)
    write(tmp_path, "annotations/val.csv", K400_VAL)
    write(tmp_path, "annotations/test.csv", K400_TEST)
    touch(
        tmp_path,
        "train/---QUuC4vJs_000084_000094.mp4",
        "train/--3ouPhoy2A_000020_000030.mp4",
        "replacement/replacement_for_corrupted_k400/--3ouPhoy2A_000020_000030.mp4",
        "val/--07WQ2iBlw_000001_000011.mp4",
        "test/-0oKI-BBoVc_000000_000010.mp4",
    )

    imported = import_layout("kinetics", tmp_path)

    assert found(imported, tmp_path) == {
        ("train/---QUuC4vJs_000084_000094.mp4", "testifying", "train"),
        (
            "replacement/replacement_for_corrupted_k400/--3ouPhoy2A_000020_000030.mp4",
            "eating spaghetti",
            "train",
        ),
        ("val/--07WQ2iBlw_000001_000011.mp4", "javelin throw", "val"),
    }
    assert (imported.missing, imported.unlabelled) == (1, 1)
    # the clips are cut already
    assert all(sample.start_seconds is None for sample in imported.samples)


def test_kinetics_600_with_its_annotations_as_txt(tmp_path: Path) -> None:
    write(
        tmp_path,
        "annotations/val.txt",
        "label,youtube_id,time_start,time_end,split\nacting in play,-1V9pOtSg5M,33,43,val\n",
    )
    write(tmp_path, "annotations/README.txt", "not a table\n")
    touch(tmp_path, "val/-1V9pOtSg5M_000033_000043.mp4")

    assert found(import_layout("kinetics", tmp_path), tmp_path) == {
        ("val/-1V9pOtSg5M_000033_000043.mp4", "acting in play", "val")
    }


K700_TRAIN = """\
label,youtube_id,time_start,time_end,split
"massaging person's head",--aaaaaaaaa,0.0,10.0,train
arguing,--bbbbbbbbb,5.0,15.0,train
"""
K700_VAL = """\
label,youtube_id,time_start,time_end,split
arguing,--bbbbbbbbb,5.0,15.0,validate
"""


def test_kinetics_700_in_folders_of_classes(tmp_path: Path) -> None:
    write(tmp_path, "kinetics700_2020/train.csv", K700_TRAIN)
    write(tmp_path, "kinetics700_2020/validate.csv", K700_VAL)
    touch(
        tmp_path,
        "train/massaging person's head/--aaaaaaaaa_000000_000010.mp4",
        "train/arguing/--bbbbbbbbb_000005_000015.mp4",
    )

    assert found(import_layout("kinetics", tmp_path), tmp_path) == {
        (
            "train/massaging person's head/--aaaaaaaaa_000000_000010.mp4",
            "massaging person's head",
            "train",
        ),
        ("train/arguing/--bbbbbbbbb_000005_000015.mp4", "arguing", "train"),
    }


def test_kinetics_in_class_folders_needs_no_annotations(tmp_path: Path) -> None:
    touch(tmp_path, "train/riding_camel/a_000000_000010.mp4", "validate/arguing/b.webm")

    assert found(import_layout("kinetics", tmp_path), tmp_path) == {
        ("train/riding_camel/a_000000_000010.mp4", "riding camel", "train"),
        ("validate/arguing/b.webm", "arguing", "val"),
    }


def test_a_whole_kinetics_video_keeps_its_times(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", K700_TRAIN)
    touch(tmp_path, "train/--bbbbbbbbb.mkv")

    (sample,) = import_layout("kinetics", tmp_path).samples

    assert (sample.start_seconds, sample.end_seconds) == (5.0, 15.0)


def test_a_damaged_kinetics_table_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", K700_TRAIN.replace("5.0", "soon"))

    with pytest.raises(LayoutError, match=r"train\.csv, line 3: .*soon"):
        import_layout("kinetics", tmp_path)


def ucf(root: Path) -> None:
    touch(
        root,
        "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
        "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi",
        "UCF-101/YoYo/v_YoYo_g25_c05.avi",
    )
    lists = "ucfTrainTestlist"
    write(root, f"{lists}/classInd.txt", "1 ApplyEyeMakeup\n37 HandstandPushups\n101 YoYo\n")
    write(
        root,
        f"{lists}/trainlist01.txt",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nYoYo/v_YoYo_g25_c05.avi 101\n",
    )
    write(
        root,
        f"{lists}/testlist01.txt",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\n"
        "HandstandPushups/v_HandStandPushups_g01_c01.avi\nYoYo/v_YoYo_g01_c01.avi\n",
    )
    write(root, f"{lists}/trainlist02.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\n")
    write(root, f"{lists}/testlist02.txt", "YoYo/v_YoYo_g25_c05.avi\n")


def test_ucf101_with_its_lists(tmp_path: Path) -> None:
    ucf(tmp_path)

    imported = import_layout("ucf101", tmp_path)

    assert found(imported, tmp_path / "UCF-101") == {
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "apply eye makeup", "test"),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "apply eye makeup", "train"),
        ("HandstandPushups/v_HandStandPushups_g01_c01.avi", "handstand pushups", "test"),
        ("YoYo/v_YoYo_g25_c05.avi", "yo yo", "train"),
    }
    assert imported.missing == 1


def test_ucf101s_second_split(tmp_path: Path) -> None:
    ucf(tmp_path)

    splits = {s.path.stem: s.split for s in import_layout("ucf101", tmp_path, fold=2).samples}

    assert splits["v_ApplyEyeMakeup_g01_c01"] == "train"
    assert splits["v_YoYo_g25_c05"] == "test"
    assert splits["v_ApplyEyeMakeup_g08_c01"] == ""


def test_hmdb51_with_its_split_files(tmp_path: Path) -> None:
    clips = ["April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "a#b_brush_hair_1.avi", "c_2.avi"]
    touch(tmp_path, *(f"hmdb51_org/brush_hair/{clip}" for clip in clips))
    touch(tmp_path, "hmdb51_org/shoot_bow/d.avi")
    folder = "testTrainMulti_7030_splits"
    lines = "".join(f"{clip} {number} \n" for clip, number in zip(clips, (1, 2, 0), strict=True))
    write(tmp_path, f"{folder}/brush_hair_test_split1.txt", lines)
    write(tmp_path, f"{folder}/shoot_bow_test_split1.txt", "d.avi 2 \ngone.avi 1 \n")
    write(tmp_path, f"{folder}/shoot_bow_test_split2.txt", "d.avi 1 \n")

    imported = import_layout("hmdb51", tmp_path)

    assert found(imported, tmp_path / "hmdb51_org") == {
        (f"brush_hair/{clips[0]}", "brush hair", "train"),
        (f"brush_hair/{clips[1]}", "brush hair", "test"),
        (f"brush_hair/{clips[2]}", "brush hair", ""),
        ("shoot_bow/d.avi", "shoot bow", "test"),
    }
    assert imported.missing == 1
    assert {s.split for s in import_layout("hmdb51", tmp_path, fold=2).samples} == {"", "train"}


ACTIVITYNET = {
    "version": "VERSION 1.3",
    "taxonomy": [{"nodeName": "Root", "nodeId": 0, "parentName": None, "parentId": None}],
    "database": {
        "sJFgo9H6zNo": {
            "duration": 30.5,
            "subset": "training",
            "resolution": "1280x720",
            "url": "",
            "annotations": [
                {"segment": [0.01, 12.5], "label": "Fun sliding down"},
                {"segment": [20.0, 30.5], "label": "Fun sliding down"},
            ],
        },
        "V1zhqaGFY2A": {
            "duration": 99.0,
            "subset": "validation",
            "annotations": [{"segment": [1.5, 2.0], "label": "Rock climbing"}],
        },
        "gone0000000": {
            "duration": 9.0,
            "subset": "training",
            "annotations": [{"segment": [1.0, 2.0], "label": "Rock climbing"}],
        },
        "JDg--pjY5gg": {"duration": 9.0, "subset": "testing", "annotations": []},
    },
}


def test_activitynet_has_a_row_for_each_segment(tmp_path: Path) -> None:
    write(tmp_path, "activity_net.v1-3.min.json", json.dumps(ACTIVITYNET))
    touch(tmp_path, "v1-2/train/v_sJFgo9H6zNo.mp4", "v1-3/train_val/v_V1zhqaGFY2A.mkv")

    imported = import_layout("activitynet", tmp_path)

    segments = [
        (s.path.name, s.label, s.split, s.start_seconds, s.end_seconds) for s in imported.samples
    ]
    assert segments == [
        ("v_sJFgo9H6zNo.mp4", "Fun sliding down", "train", 0.01, 12.5),
        ("v_sJFgo9H6zNo.mp4", "Fun sliding down", "train", 20.0, 30.5),
        ("v_V1zhqaGFY2A.mkv", "Rock climbing", "val", 1.5, 2.0),
    ]
    assert (imported.missing, imported.unlabelled) == (1, 1)


def test_folders_of_videos_and_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "juggling/a.MP4", "riding_a_horse/b.jpg", "juggling/.hidden.mp4", "c.mp4")
    touch(tmp_path, "juggling/notes.txt", "test/judo/d.mov")

    assert found(import_layout("folders", tmp_path), tmp_path) == {
        ("juggling/a.MP4", "juggling", ""),
        ("riding_a_horse/b.jpg", "riding a horse", ""),
        ("test/judo/d.mov", "judo", "test"),
    }


@pytest.mark.parametrize("name", ["kinetics", "ucf101", "hmdb51", "activitynet", "folders"])
def test_an_empty_folder_is_no_data_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(LayoutError):
        import_layout(name, tmp_path)


def test_a_name_that_is_no_layout_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="activitynet, folders, hmdb51, kinetics, ucf101"):
        import_layout("youtube8m", tmp_path)


def test_imported_rows_make_a_manifest_that_is_read_back(tmp_path: Path) -> None:
    ucf(tmp_path)
    samples = import_layout("ucf101", tmp_path).samples
    path = tmp_path / "lists" / "ucf.csv"
    path.parent.mkdir()

    write_manifest(path, samples)

    def rows(samples: list[Sample]) -> list[tuple[Path, str, str, str]]:
        return [(s.path.resolve(), s.label, s.dataset, s.split) for s in samples]

    assert rows(read_manifest(path)) == rows(samples)


@pytest.mark.parametrize("damage", ["[]", "{}", '{"database": {"a": {}}}', "no json"])
def test_a_damaged_activitynet_annotation_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, "activity_net.v1-3.min.json", damage)

    with pytest.raises(LayoutError, match=r"activity_net\.v1-3\.min\.json is not an ActivityNet"):
        import_layout("activitynet", tmp_path)
