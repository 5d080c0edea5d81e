"""The tool that makes the catalogue reads the projects' pages as they are. Engine-neutral."""

from dataclasses import replace

from resnext_det.weights.catalog import catalog
from resnext_det.weights.convention import Convention
from tools import weights_catalog
from tools.catalog_sources import detectron2_zoo, libraries, projects

CATALOG = {entry.spec: entry for entry in catalog()}
PREFIX = "https://dl.fbaipublicfiles.com/detectron2"
ZOO = f"""
[licence](https://creativecommons.org/licenses/by-sa/3.0/)
* [R-50.pkl]({PREFIX}/ImageNetPretrained/MSRA/R-50.pkl), [R-101.pkl]({PREFIX}/ImageNetPretrained/\
MSRA/R-101.pkl), {PREFIX}/ImageNetPretrained/FAIR/X-101-32x8d.pkl,
{PREFIX}/ImageNetPretrained/torchvision/R-50.pkl
<table><tbody>
<th valign="bottom">Name</th>
<th valign="bottom">train<br/>mem<br/>(GB)</th>
<th valign="bottom">box<br/>AP</th>
<th valign="bottom">mask<br/>AP</th>
<th valign="bottom">download</th>
 <tr><td align="left"><a href="configs/\
COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml">\
X</a></td>
<td align="center">7.2</td>
<td align="center">44.3</td>
<td align="center">39.5</td>
<td align="center"><a href="{PREFIX}/COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x/\
139653917/model_final_2d9806.pkl">model</a></td>
</tr>
 <tr><td align="left"><a href="configs/Cityscapes/mask_rcnn_R_50_FPN.yaml">R</a></td>
<td align="center">4.4</td>
<td align="center"></td>
<td align="center">36.5</td>
<td align="center"><a href="{PREFIX}/Cityscapes/mask_rcnn_R_50_FPN/142423278/\
model_final_af9cf5.pkl">model</a></td>
</tr>
</tbody></table>
"""


def same_as_written(entries) -> None:
    for entry in entries:
        assert entry == CATALOG[entry.spec]


def test_the_zoos_page(tmp_path):
    (tmp_path / "MODEL_ZOO.md").write_text(ZOO)
    entries = detectron2_zoo.detectron2_entries(tmp_path)
    assert len(entries) == 5  # Cityscapes' has no config here
    same_as_written(entries)


def test_libraries_as_installed(tmp_path):
    (tmp_path / "results.csv").write_text(
        "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation\n"
        "resnet50.a1_in1k,224,80.382,19.618,94.598,5.402,25.56,0.950,bicubic\n"
        "resnet50.a1_in1k,288,81.240,18.760,95.112,4.888,25.56,1.000,bicubic\n"
    )
    same_as_written(libraries.torchvision_entries())
    for entry in libraries.timm_entries(tmp_path / "results.csv"):
        known = CATALOG[entry.spec]
        if entry.spec == "timm://resnet50.a1_in1k":
            assert entry == known
            assert entry.accuracy == {"top1": 81.24, "top5": 95.112}
        else:
            nothing = {"accuracy": {}, "accuracy_source": "", "pixels": None}
            assert entry == replace(known, **nothing)


def test_mmpretrains_metafiles(tmp_path):
    for folder in ("resnet", "resnext", "wrn"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
        (tmp_path / "configs" / folder / "metafile.yml").write_text("Models: []\n")
    address = "https://download.openmmlab.com/mmclassification/v0"
    (tmp_path / "configs" / "resnext" / "metafile.yml").write_text(f"""
Models:
  - Name: resnext50-32x4d_8xb32_in1k
    In Collection: ResNeXt
    Results: [{{Dataset: ImageNet-1k, Metrics: {{Top 1 Accuracy: 77.90, Top 5 Accuracy: 93.66}}}}]
    Weights: {address}/resnext/resnext50_32x4d_b32x8_imagenet_20210429-56066e27.pth
  - Name: resnetv1d50_8xb32_in1k
    In Collection: ResNet
    Results: [{{Dataset: ImageNet-1k, Metrics: {{Top 1 Accuracy: 77.54, Top 5 Accuracy: 93.57}}}}]
    Weights: {address}/resnet/resnetv1d50_b32x8_imagenet_20210531-db14775a.pth
  - Name: resnet18_8xb16_cifar10
    In Collection: ResNet
    Results: [{{Dataset: CIFAR-10, Metrics: {{Top 1 Accuracy: 94.82}}}}]
    Weights: {address}/resnet/resnet18_b16x8_cifar10_20210528-bd6371c8.pth
""")
    entries = projects.mmpretrain_entries(tmp_path)
    assert len(entries) == 1
    same_as_written(entries)


def test_pycls_page(tmp_path):
    address = "https://dl.fbaipublicfiles.com/pycls/dds_baselines/161167411"
    cells = "".join(
        f'<td align="center">{cell}</td>\n' for cell in (4.2, 25.0, 14.6, 256, 85, 22.1)
    )
    (tmp_path / "MODEL_ZOO.md").write_text(
        f'<!-- ROW ResNeXt-50 -->\n<tr>\n<td align="left">ResNeXt-50</td>\n{cells}'
        '<td align="center">21.9</td>\n<td align="center">161167411</td>\n'
        f'<td align="center"><a href="{address}/X-50-32x4d_dds_8gpu.pyth">model</a></td>\n</tr>\n'
    )
    (entry,) = projects.pycls_entries(tmp_path)
    same_as_written([entry])
    assert entry.convention == Convention("BGR", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395))


def test_the_authors_tables(tmp_path):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "README.md").write_text(
        "| ResNeXt-50 (32x4d)  |  ~4.1  |  22.2        | [Download (191MB)]"
        "(https://dl.fbaipublicfiles.com/resnext/imagenet_models/resnext_50_32x4d.t7)       |\n"
    )
    place = "https://d2j0dndfm35trm.cloudfront.net"
    links = "".join(f"- [ResNet-{d}]({place}/resnet-{d}.t7)\n" for d in (18, 34, 50, 101, 152))
    (tmp_path / "pretrained" / "README.md").write_text(
        f"{links}##### ImageNet 1-crop error rates (224x224)\n"
        "| ResNet-18     | 30.43       | 10.76       |\n"
        "| ResNet-34     | 26.73       | 8.74        |\n"
        "| ResNet-50     | 24.01       | 7.02        |\n"
        "| ResNet-101    | 22.44       | 6.21        |\n"
        "| ResNet-152    | 22.16       | 6.16        |\n"
        "##### ImageNet 10-crop error rates\n| ResNet-18     | 28.22       | 9.42        |\n"
    )
    entries = projects.authors_entries(tmp_path, tmp_path)
    assert len(entries) == 5  # its ResNet-50 is another network
    same_as_written(entries)


def test_entries_are_sorted_and_named_once(monkeypatch, tmp_path):
    entry = CATALOG["torchvision://resnet18/IMAGENET1K_V1"]
    better = CATALOG["timm://resnet18.a1_in1k"]
    for source in ("torchvision_entries", "timm_entries"):
        monkeypatch.setattr(libraries, source, lambda *_: [entry, better])
    for source in ("mmpretrain_entries", "pycls_entries", "authors_entries", "detectron_entries"):
        monkeypatch.setattr(projects, source, lambda *_: [])
    monkeypatch.setattr(detectron2_zoo, "detectron2_entries", lambda *_: [])
    assert weights_catalog.collect(tmp_path) == [better, entry]
    written = weights_catalog.as_json([entry], {"timm": "1"})
    assert written["entries"][0]["spec"] == entry.spec
    assert written["sources"] == {"timm": "1"}
