import base64
import io
import itertools
import struct
import subprocess
import sys

import matplotlib as mpl
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from coursekit import plots
from coursekit.data import GridWorld

SIZE = (4, 3)
WORLD = GridWorld(["..+", ".#-", "@.."])


def images(count):
    return torch.rand(count, 12, generator=torch.Generator().manual_seed(0))


def halves(places):
    """A classifier that is sure of one class where x₁ is negative, of the other elsewhere."""
    return torch.nn.functional.one_hot((places[:, 0] > 0).long(), 2).float()


def pixels(picture):
    return Image.open(io.BytesIO(picture.png(scale=1))).convert("L")


def words(picture):
    """Everything that is written in a picture."""
    return {text.get_text() for text in picture.figure.findobj(Text)}


PICTURES = {
    "strips": lambda: plots.strips({"image": images(3)}, SIZE, title="Digits"),
    "plane": lambda: plots.plane(lambda z: images(len(z)), SIZE, cells=3),
    "scatter": lambda: plots.scatter({"codes": torch.randn(20, 2)}, [i % 3 for i in range(20)]),
    "curves": lambda: plots.curves({"training": {"ELBO": [1.0, 2.0]}}, xlabel="epoch", ylabel="nats"),
    "histogram": lambda: plots.histogram({"digits": torch.randn(50)}, xlabel="score"),
    "contours": lambda: plots.contours(
        torch.arange(12.0).view(3, 4), torch.arange(4), torch.arange(3), xlabel="x", ylabel="y", levels=[3, 6]
    ),
    "fields": lambda: plots.fields(
        {"score": (torch.randn(20, 2), torch.randn(9, 2), torch.randn(9, 2))}, extent=3, paths=[torch.randn(5, 2)]
    ),
    "regions": lambda: plots.regions({"halves": halves}, torch.randn(9, 2), torch.arange(9) % 2, extent=2, cells=8),
    "perceptron": lambda: plots.perceptron(images(1)[0], torch.rand(5), torch.tensor([0.2, 0.7, 0.1]), SIZE),
    "autoencoder": lambda: plots.autoencoder(*images(2), SIZE),
    "adversaries": lambda: plots.adversaries(*images(2), SIZE),
    "clouds": lambda: plots.clouds(
        {"one": {"early": torch.randn(9, 2), "late": torch.ones(9, 2)}, "two": {"early": torch.zeros(9, 2)}},
        behind=torch.randn(20, 2),
        extent=3,
    ),
    "matrices": lambda: plots.matrices({"head": torch.rand(3, 4)}, rows="abc", columns="wxyz", numbers=True),
    "one_at_a_time": lambda: plots.one_at_a_time(
        ("once upon\na t", {"a": 0.25, "i": 0.75}),
        (images(1)[0], SIZE, 7, torch.full((4,), 0.25)),
        (torch.linspace(-1, 1, 30), torch.full((8,), 0.125)),
    ),
    "grid_world": lambda: plots.grid_world(WORLD, {"": (torch.arange(8.0), torch.zeros(8, dtype=torch.int64))}),
}


@pytest.fixture(params=PICTURES)
def picture(request):
    return PICTURES[request.param]()


def test_a_picture_is_a_png_with_something_on_white(picture):
    gray = pixels(picture)
    assert gray.getpixel((0, 0)) == 255
    assert gray.getextrema()[0] < 128


def test_jupyter_gets_the_picture_its_size_and_its_words(picture):
    data, metadata = picture._repr_mimebundle_()
    png = base64.b64decode(data["image/png"])
    width, height = struct.unpack(">II", png[16:24])
    shown = metadata["image/png"]
    assert (width, height) == pytest.approx((2 * shown["width"], 2 * shown["height"]), abs=2)
    assert shown["alt"] == picture.alt
    assert picture.alt in data["text/plain"]


def test_no_picture_is_wider_than_a_page(picture):
    assert picture.figure.get_figwidth() <= 9.8


def test_a_picture_leaves_the_readers_settings_alone():
    before = dict(mpl.rcParams)
    plots.histogram({"a": torch.randn(9)}, xlabel="x").png()
    assert dict(mpl.rcParams) == before


def test_a_picture_can_be_kept(tmp_path):
    path = tmp_path / "a.png"
    PICTURES["curves"]().save(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_ink_is_dark_and_paper_is_white():
    picture = plots.strips({"": torch.tensor([[0.0, 1.0, 0.0, 1.0]])}, (1, 4))
    gray = pixels(picture)
    (image,) = picture.figure.axes[0].images
    left, right, bottom, top = image.get_extent()
    corners = picture.figure.axes[0].transData.transform([(left, bottom), (right, top)])
    (x0, y0), (x1, y1) = corners / picture.figure.dpi * plots.style.DPI
    row = gray.height - (y0 + y1) / 2
    values = [gray.getpixel((int(x0 + (x1 - x0) * (i + 0.5) / 4), int(row))) for i in range(4)]
    assert values == [255, 0, 255, 0]


def test_strips_name_their_rows_and_columns():
    picture = plots.strips({"image": images(2), "reconstruction": images(2)}, SIZE, captions=["one", "two"])
    assert {"image", "reconstruction", "one", "two"} <= words(picture)
    assert len(picture.figure.axes[0].images) == 4


def test_names_of_strips_are_not_cut_off():
    picture = plots.strips({"a rather long name of a row": images(15)}, SIZE)
    renderer = FigureCanvasAgg(picture.figure).get_renderer()
    (name,) = [text for text in picture.figure.axes[0].texts if "rather" in text.get_text()]
    assert name.get_window_extent(renderer).x0 >= 0


def test_the_plane_shows_each_code_at_its_place():
    """z₁ runs to the right and z₂ upwards."""
    asked = []

    def decode(z):
        asked.append(z)
        return torch.zeros(len(z), 12)

    picture = plots.plane(decode, SIZE, cells=2, extent=2.0)
    codes = asked[0].tolist()
    assert codes == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    for (z1, z2), image in zip(codes, picture.figure.axes[0].images, strict=True):
        left, right, bottom, top = image.get_extent()
        assert left < z1 < right
        assert bottom < z2 < top


def test_scatter_names_each_kind_among_its_own():
    points = torch.cat([torch.randn(30, 2) - 9, torch.randn(30, 2) + 9])
    picture = plots.scatter({"codes": points}, torch.tensor([3] * 30 + [7] * 30))
    places = {text.get_text(): text.get_position() for text in picture.figure.axes[0].texts}
    assert max(places["3"]) < 0 < min(places["7"])


def test_scatter_keeps_names_apart():
    """Kinds that lie on one another would have their names on one another."""
    picture = plots.scatter({"codes": torch.randn(40, 2)}, [i % 2 for i in range(40)])
    first, second = (torch.tensor(text.get_position()) for text in picture.figure.axes[0].texts)
    assert (first - second).norm() > 0.1


def test_curves_name_their_lines_and_levels():
    picture = plots.curves(
        {"text": {"plain": [0.0, 1.0], "annealing": [0.0, 1.01]}}, xlabel="step", ylabel="nats", levels={"best": 1.2}
    )
    assert {"plain", "annealing", "best", "step", "nats"} <= words(picture)
    heights = sorted(text.xy[1] for text in picture.figure.axes[0].texts)
    assert min(b - a for a, b in itertools.pairwise(heights)) > 0.05


def test_a_level_out_of_reach_does_not_squeeze_the_lines():
    picture = plots.curves({"": {"a": [0.0, 1.0]}}, xlabel="x", ylabel="y", levels={"far": 100.0})
    assert "far" not in words(picture)


def test_a_single_point_is_a_dot():
    picture = plots.curves({"": {"": ([0, 1], [0, 1]), "here": ([1.0], [1.0])}}, xlabel="x", ylabel="y")
    line, dot = picture.figure.axes[0].lines
    assert (line.get_marker(), dot.get_marker()) == ("None", "o")


def test_panels_have_their_own_axes():
    picture = plots.curves({"a": {"": [1, 2]}, "b": {"": [1, 2]}}, xlabel=("u", "v"), ylabel=("s", "t"))
    labels = [(axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel()) for axes in picture.figure.axes]
    assert labels == [("a", "u", "s"), ("b", "v", "t")]


def test_groups_of_a_histogram_share_their_bins():
    picture = plots.histogram({"a": torch.tensor([0.0, 1.0]), "b": torch.tensor([3.0, 4.0])}, xlabel="x")
    assert picture.figure.axes[0].get_xlim()[0] <= 0
    assert picture.figure.axes[0].get_xlim()[1] >= 4
    assert {"a", "b"} <= words(picture)


def test_tensors_with_gradients_can_be_drawn():
    points = torch.randn(5, 2, requires_grad=True)
    assert plots.scatter({"codes": points}, [0] * 5).png()
    assert plots.curves({"": {"a": points[:, 0]}}, xlabel="x", ylabel="y").png()


def test_sliders_draw_where_they_stand():
    asked = []

    def decode(z):
        asked.append(z.tolist())
        return torch.zeros(1, 12)

    sliders = plots.explore(decode, SIZE)
    sliders.update()
    sliders.children[0].value = 1.5
    assert asked[0] == [[0.0, 0.0]]
    assert asked[-1] == [[1.5, 0.0]]


def test_matplotlib_waits_for_the_first_picture():
    code = "import sys, coursekit.plots, coursekit.data; print({'matplotlib', 'sklearn', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_grid_world_shows_values_signs_and_arrows():
    values = torch.linspace(-1, 1, 8)
    picture = plots.grid_world(WORLD, {"worth": (values, torch.ones(8, dtype=torch.int64)), "empty": (None, None)})
    assert {"prize", "trap", "start", "−1.00", "1.00"} <= words(picture)
    arrows = [text for text in picture.figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 6  # one for each square whose episode goes on


def test_matrices_share_a_scale_and_the_names_of_their_rows():
    tables = {"weak": torch.full((2, 2), 0.25), "strong": torch.eye(2)}
    picture = plots.matrices(tables, rows=["the", "fox"], columns=["a", "b"], numbers=True)
    weak, strong = (axes.images[0] for axes in picture.figure.axes)
    assert weak.get_clim() == strong.get_clim() == (0, 1)
    assert {"weak", "strong", "the", "fox", "a", "b", "25", "100", "0"} <= words(picture)
    assert [len([t for t in axes.get_yticklabels() if t.get_text()]) for axes in picture.figure.axes] == [2, 0]


def test_matrices_with_negative_values_are_white_at_zero():
    image = plots.matrices({"": torch.tensor([[-2.0, 1.0]])}).figure.axes[0].images[0]
    assert image.get_clim() == (-2, 2)


def test_regions_are_coloured_by_the_likelier_class():
    picture = plots.regions({"": halves}, torch.zeros(2, 2), torch.tensor([0, 1]), extent=2, cells=4)
    colours = torch.tensor(picture.figure.axes[0].images[0].get_array())
    assert colours.shape == (4, 4, 3)
    left, right = colours[:, :2].reshape(-1, 3).unique(dim=0), colours[:, 2:].reshape(-1, 3).unique(dim=0)
    assert len(left) == len(right) == 1
    assert left[0, 2] > left[0, 0]  # the first kind is blue, the second red
    assert right[0, 0] > right[0, 2]


def test_an_unsure_classifier_leaves_the_plane_white():
    picture = plots.regions(
        {"": lambda places: torch.full((len(places), 2), 0.5)},
        torch.zeros(2, 2),
        torch.tensor([0, 1]),
        extent=1,
        cells=4,
    )
    assert (torch.tensor(picture.figure.axes[0].images[0].get_array()) == 1).all()


def test_a_perceptron_says_how_probable_each_class_is():
    picture = plots.perceptron(images(1)[0], torch.ones(4), torch.tensor([0.2, 0.7, 0.1]), SIZE)
    assert {"0", "1", "2", "20%", "70%", "10%"} <= words(picture)
    assert "number 1 is thought likeliest" in picture.alt


def test_ways_over_contours_are_named_and_do_not_widen_the_plane():
    side = torch.linspace(-1, 1, 5)
    ways = {"far": torch.tensor([[0.0, 0.0], [9.0, 9.0]])}
    picture = plots.contours(torch.eye(5), side, side, xlabel="x", ylabel="y", levels=[0.5, 0.8], paths=ways)
    assert picture.figure.axes[0].get_xlim() == (-1, 1)
    assert "far" in words(picture)


def test_images_of_three_channels_are_in_colour():
    """Pixels come as in a tensor (3, height, width), laid flat: all of red first."""
    red = torch.tensor([1.0, 0.0, 0.0]).repeat_interleave(12)
    (image,) = plots.strips({"": red.unsqueeze(0)}, SIZE).figure.axes[0].images
    assert image.get_array().shape == (*SIZE, 3)
    assert (image.get_array() == [1, 0, 0]).all()


def test_regions_draw_the_densities_of_the_panels_that_have_them():
    def bell(places):
        return torch.exp(-places.square().sum(dim=1, keepdim=True) / 2)

    picture = plots.regions(
        {"with": halves, "without": halves},
        torch.zeros(2, 2),
        torch.tensor([0, 1]),
        extent=4,
        cells=81,
        densities={"with": bell},
    )
    (lines,), none = ([c for c in axes.collections if hasattr(c, "levels")] for axes in picture.figure.axes)
    assert none == []
    radii = sorted(path.vertices.max() for path in lines.get_paths())
    assert radii == pytest.approx([1, 2, 3], abs=0.1)


def test_unfinished_works_show_what_is_known_and_not_what_is_to_come():
    chances = torch.tensor([0.25, 0.75])
    image = torch.ones(12)  # all ink, of which the first five pixels are known
    picture = plots.one_at_a_time(("so f", {"a": 1.0}), (image, SIZE, 5, chances), (torch.zeros(9), chances))
    assert {"so f", "    ?", "white", "black", "next amplitude"} <= words(picture)
    canvas = picture.figure.axes[1]
    (shown,) = canvas.get_images()
    assert shown.get_array().flatten().tolist() == [1.0] * 5 + [0.0] * 7
    assert len(canvas.patches) == 7 + 1  # what is to come, and the frame of the next pixel


def test_a_few_counted_steps_are_marked_by_whole_numbers():
    picture = plots.curves({"": {"cost": [3.0, 2.0, 1.0]}}, xlabel="order", ylabel="nats")
    picture.png()
    assert all(float(place).is_integer() for place in picture.figure.axes[0].get_xticks())
