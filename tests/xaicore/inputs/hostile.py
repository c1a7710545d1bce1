"""What `evaluate` did once with the inputs of its own table, where it does something else now."""

BEFORE = {
    "a network of NaN": "exit 1: each of all images failed",
    "a box turned around": "exit 1: `no box is known for this image`",
    "a box beside the picture": "exit 1: `no box is known for this image`",
    "a box far beside it": "exit 1: `boxes[0] must … overlap the image of 16x16`",
    "labels with semicolons": "exit 2: `lacks the column file and label`",
    "labels from Windows": "exit 2: `is not a table of comma-separated values`",
    "a mask of 0 and 1": "exit 0: the mask was taken for nearly empty, without a word",
    "fractions called pixels": "exit 1: `no box is known for this image`, of all",
    "32 bits of no range": "exit 0: clipped at 255, without a word",
    "32 bits beyond the range": "no such option",
    "32 bits of a range": "no such option",
    "a range that is none": "no such option",
    "a range that falls": "no such option",
    "a function that returns no images": "exit 2: `for LE give --boxes`",
    "a table of classes for a function": "exit 2: `is not a folder: give the folder`",
    "a network without a known layer": "exit 2: `no CAM layer is known`, and none was proposed",
    "weights inside a checkpoint": "exit 2: `it has no 0.weight; it has state_dict, epoch, …`",
    "a checkpoint of another network": "exit 2: `it has no 0.weight; it has state_dict, …`",
}
