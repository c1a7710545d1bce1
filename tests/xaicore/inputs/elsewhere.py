"""Lines whose tests stand with what they test."""

from __future__ import annotations

from tests.xaicore.inputs.table import tested

ANY, CLI, WEIGHTS = "test_any_classifier.py", "test_cli.py", "test_weights.py"
PICTURES, CHANGED = "test_pictures.py", "evaluation/test_changed.py"

tested(
    "output",
    "image classifiers of Hugging Face: ViT, DeiT, Swin, ResNet, ConvNeXt",
    "error: `'ImageClassifierOutput' object has no attribute 'detach'`",
    "their logits and their layer are found, and methods explain them",
    f"{ANY}::TestHuggingFace::test_image_classifiers_work_as_they_are",
)
tested(
    "output",
    "attention of Hugging Face's ViT and DeiT",
    "refused: `has no self-attention`, which it has",
    "raw attention and rollout are those that the network itself returns",
    f"{ANY}::TestHuggingFace::test_attention_is_what_the_network_says_it_is",
)
tested(
    "layer",
    "`torch.compile(resnet)`, no layer named",
    "refused: `no CAM layer is known for OptimizedModule`",
    "the map is that of the network itself",
    f"{ANY}::TestLayer::test_wrappers_are_seen_through",
)
tested(
    "layer",
    "networks of torchvision without a known layer",
    "refused: `no CAM layer is known`",
    "exit 2: give --layer, for example avgpool or features",
    f"{CLI}::test_layers_are_proposed_where_none_is_known[avgpool or features]",
)
tested(
    "file of weights",
    "weights of five classes for `--model resnet18`",
    "refused: `fc.weight is (2, 512), not (1000, 512)`",
    "the network is made with five classes",
    f"{WEIGHTS}::test_the_head_is_sized_from_the_file[resnet18]",
)
tested(
    "file of weights",
    "a TorchScript program",
    "refused: `is not a file of weights saved by torch.save`",
    "refused: is a TorchScript program, no file of weights: save net.state_dict()",
    f"{WEIGHTS}::test_an_unsafe_file_is_told_from_one_of_another_kind[a program]",
)
tested(
    "file of weights",
    "two networks of this kind in one file",
    "refused, without the names",
    "refused: holds several such networks, under model., ema.: save one",
    f"{WEIGHTS}::test_of_several_networks_in_a_file_none_is_chosen",
)
tested(
    "labels",
    'tables of Excel: UTF-16, cp1252, tabs, semicolons, `file, label`, a class called "None"',
    "refused; of None: `it has no label`",
    "read as they are meant",
    f"{PICTURES}::test_tables_are_read_however_they_were_saved",
)
tested(
    "folder",
    "pictures of one channel and of four for networks that take so many",
    "only colour was read",
    "grey is the picture's own grey; of another number of bands the file is refused",
    f"{PICTURES}::test_pictures_have_the_channels_of_the_network",
)
tested(
    "folder",
    "pictures of 12 bits in files of 16, and of 32",
    "32 bits were clipped at 255, without a word",
    "`--range 0,4095` scales them; 32 bits of no range are refused",
    f"{PICTURES}::test_numbers_of_many_bits_are_scaled_by_their_range",
)
tested(
    "folder",
    "a run that goes on after its data have changed",
    "measured on, the old beside the new",
    "refused, naming the first image that changed",
    f"{CHANGED}::test_a_changed_data_set_of_equal_length_is_refused",
)
tested(
    "command line",
    "a console of cp1252, cp1251, cp437 or ASCII",
    "error: `'charmap' codec can't encode '\\u2193'`",
    "what the console lacks becomes `?`",
    f"{CLI}::test_any_console_can_print_it",
)
tested(
    "command line",
    "a reader that has gone: `xaicore methods | head -1`",
    "a traceback",
    "exit 0",
    f"{CLI}::test_a_reader_that_has_gone_is_no_error",
)
tested(
    "command line",
    "`--traceback`, before the command or behind it",
    "no such option",
    "the traceback, and the line",
    f"{CLI}::test_a_traceback_is_shown_on_demand",
)
tested(
    "command line",
    "`--version`",
    "no such option",
    "versions of xaicore, torch and torchvision, and the commit",
    f"{CLI}::test_the_version_is_told_with_those_of_what_computes",
)
tested(
    "command line",
    "a folder of photographs with a damaged one among them",
    "`explain` took one picture",
    "exit 1; the others are explained, and the damaged one is named",
    f"{CLI}::test_a_bad_picture_among_others_is_left_out_aloud",
)
