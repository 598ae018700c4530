"""What the documentation of segmentation datasets says of their folders and splits."""

from __future__ import annotations

NAMES = (
    "bkai",
    "brisc",
    "btmri",
    "btmri-prepared",
    "buid",
    "busbra",
    "busi",
    "busuc",
    "camus",
    "chexlocalize",
    "cvc-300",
    "cvc-clinicdb",
    "cvc-colondb",
    "dfu2022",
    "etis",
    "eus",
    "isic2016",
    "kvasir",
    "mimic-cxr-lungs",
    "qata-cov19",
    "udiat",
    "uwaterloo",
)
POUDEL = {
    "bkai": (799, 100, 100),
    "busi": (624, 78, 78),
    "camus": (1600, 200, None),
    "chexlocalize": (None, None, 138),
    "cvc-300": (None, None, 60),
    "cvc-clinicdb": (490, 61, 61),
    "cvc-colondb": (None, None, 380),
    "dfu2022": (1600, 200, 200),
    "etis": (None, None, 196),
    "isic2016": (809, 90, 379),
    "kvasir": (800, 100, 100),
}
MEDCLIPSEG = {
    "bkai": (799, 100, 100),
    "brisc": (4000, 1000, 1000),
    "btmri-prepared": (2738, 1321, 1005),
    "buid": (162, 35, 35),
    "busbra": (1311, 282, 282),
    "busi": (624, 78, 78),
    "busuc": (567, 122, 122),
    "cvc-300": (None, None, 60),
    "cvc-clinicdb": (490, 61, 61),
    "cvc-colondb": (20, None, 360),
    "eus": (26318, 1758, 10090),
    "isic2016": (809, 90, 379),
    "kvasir": (800, 100, 100),
    "qata-cov19": (5716, 1429, 2113),
    "udiat": (113, 25, 25),
    "uwaterloo": (132, None, 41),
}


# For each form of pairs: images as documented, with their masks, how lists name them, and words.
LAYOUTS: dict[str, list[tuple[str, list[str], str, dict[str, str]]]] = {
    "bkai": [
        ("train/0a1.jpeg", ["train_gt/0a1.jpeg"], "0a1", {}),
        ("train/train/0a2.jpeg", ["train_gt/train_gt/0a2.jpeg"], "0a2", {}),
    ],
    "brisc": [
        (
            "brisc2025/classification_task/train/glioma/brisc2025_train_00007_gl_ax_t1.jpg",
            ["brisc2025/segmentation_task/train/masks/brisc2025_train_00007_gl_ax_t1.png"],
            "brisc2025_train_00007_gl_ax_t1",
            {"tumor_type": "glioma"},
        ),
        (
            "brisc2025/classification_task/test/no_tumor/brisc2025_test_00900_no_ax_t1.jpg",
            [],
            "brisc2025_test_00900_no_ax_t1",
            {},
        ),
    ],
    "btmri-prepared": [
        ("BTMRI/Train_Folder/img/100.png", ["BTMRI/Train_Folder/label/100.png"], "100", {}),
        ("BTMRI/Val_Folder/img/101.png", ["BTMRI/Val_Folder/label/101.png"], "101", {}),
    ],
    "buid": [
        (
            "Benign/33 Benign Image.bmp",
            ["Benign/33 Benign Mask.tif"],
            "33 Benign Image",
            {"tumor_type": "benign"},
        ),
        (
            "Malignant/33 Malignant Image.bmp",
            ["Malignant/33 Malignant Mask.tif"],
            "33 Malignant Image",
            {"tumor_type": "malignant"},
        ),
    ],
    "busbra": [
        ("BUSBRA/Images/bus_0169-r.png", ["BUSBRA/Masks/mask_0169-r.png"], "bus_0169-r", {}),
    ],
    "busi": [
        (
            "Dataset_BUSI_with_GT/benign/benign (4).png",
            [
                "Dataset_BUSI_with_GT/benign/benign (4)_mask.png",
                "Dataset_BUSI_with_GT/benign/benign (4)_mask_1.png",
            ],
            "4_benign",
            {"tumor_type": "benign"},
        ),
        (
            "Dataset_BUSI_with_GT/normal/normal (4).png",
            ["Dataset_BUSI_with_GT/normal/normal (4)_mask.png"],
            "4_normal",
            {},
        ),
    ],
    "busuc": [
        ("Benign/images/1.png", ["Benign/masks/1.png"], "1", {"tumor_type": "benign"}),
        ("Malignant/images/2.png", ["Malignant/masks/2.png"], "2", {"tumor_type": "malignant"}),
    ],
    "cvc-300": [("images/149.png", ["masks/149.png"], "149", {})],
    "cvc-clinicdb": [("Original/612.tif", ["Ground Truth/612.tif"], "612", {})],
    "cvc-colondb": [("images/380.png", ["masks/380.png"], "380", {})],
    "dfu2022": [
        (
            "DFUC2022_train_release/DFUC2022_train_images/101570.jpg",
            ["DFUC2022_train_release/DFUC2022_train_masks/101570.png"],
            "101570",
            {},
        ),
        ("DFUC2022_train_images/1.jpg", ["DFUC2022_train_masks/1.png"], "1", {}),
    ],
    "etis": [("images/196.png", ["masks/196.png"], "196", {})],
    "eus": [
        ("Train_Folder/img/V3_0313.tif", ["Train_Folder/label/V3_0313.tif"], "V3_0313", {}),
        ("Test_Folder/img/C10/V3_0313.tif", ["Test_Folder/label/C10/V3_0313.png"], "V3_0313", {}),
    ],
    "isic2016": [
        (
            "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg",
            ["ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png"],
            "ISIC_0000000",
            {},
        ),
        (
            "ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg",
            ["ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png"],
            "ISIC_0000003",
            {},
        ),
    ],
    "kvasir": [("Kvasir-SEG/images/cju0.jpg", ["Kvasir-SEG/masks/cju0.jpg"], "cju0", {})],
    "mimic-cxr-lungs": [
        ("files/p10/p10000032/s50414267/02aa-1.jpg", ["masks/02aa-1.png"], "02aa-1", {}),
    ],
    "qata-cov19": [
        (
            "Train Set/Images/sub-S09345_run-1.png",
            ["Train Set/Ground-truths/mask_sub-S09345_run-1.png"],
            "mask_sub-S09345_run-1",
            {},
        ),
        (
            "Test Set/Images/covid_1.png",
            ["Test Set/Ground-truths/mask_covid_1.png"],
            "mask_covid_1",
            {},
        ),
    ],
    "udiat": [("original/000001.png", ["GT/000001.png"], "000001", {})],
    "uwaterloo": [
        (
            "Skin Image Data Set-1/skin_data/melanoma/dermIS/SSM1_orig.jpg",
            ["Skin Image Data Set-1/skin_data/melanoma/dermIS/SSM1_contour.png"],
            "SSM1_orig",
            {},
        ),
        (
            "Skin Image Data Set-2/skin_data/notmelanoma/dermquest/D1_orig.jpg",
            ["Skin Image Data Set-2/skin_data/notmelanoma/dermquest/D1_contour.png"],
            "D1_orig",
            {},
        ),
    ],
}
