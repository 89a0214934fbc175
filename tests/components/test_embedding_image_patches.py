import pytest
import torch
from torch.testing import assert_close

from zoo.components.embedding.image_patches import ImagePatches, ImagePatchesSpec

B, C, H, W, P, D = 2, 3, 6, 8, 2, 5


def patches(**changes):
    spec = ImagePatchesSpec(**{"image_size": (H, W), "patch_size": P, "n_channels": C, **changes})
    spec.check(d_model=D)
    module = ImagePatches(d_model=D, **spec.model_dump(exclude={"type"}))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def vectors(module, images):
    x, mask = module(images, mask=None, types=None)
    assert mask is None
    return x


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.randn(B, C, H, W)


def test_patches_are_a_convolution_whose_stride_is_its_kernel(images):
    module = patches(class_token=False)
    weight = module.projection.weight.view(D, C, P, P)
    expected = torch.nn.functional.conv2d(images, weight, module.projection.bias, stride=P)
    assert_close(vectors(module, images), expected.flatten(2).transpose(1, 2))
    assert patches(bias=False).projection.bias is None


def test_class_token_stands_first_then_registers_then_patches(images):
    module = patches(n_registers=4)
    x = vectors(module, images)
    plain = patches(class_token=False)
    plain.load_state_dict({f"projection.{k}": v for k, v in module.projection.state_dict().items()})
    assert_close(x[:, :1], module.class_token.expand(B, 1, D))
    assert_close(x[:, 1:5], module.registers.expand(B, 4, D))
    assert_close(x[:, 5:], vectors(plain, images))


@pytest.mark.parametrize("changes", [{}, {"class_token": False}, {"n_registers": 3}])
def test_the_spec_knows_the_length(images, changes):
    spec = ImagePatchesSpec(image_size=(H, W), patch_size=P, n_channels=C, **changes)
    assert vectors(patches(**changes), images).shape == (B, spec.length, D)
    example, mask = spec.example_inputs(4)
    assert mask is None
    assert vectors(patches(**changes), example).shape == (4, spec.length, D)


def test_with_its_weights_it_is_vits():
    vit = pytest.importorskip("transformers.models.vit.modeling_vit")
    config = vit.ViTConfig(hidden_size=D, image_size=6, patch_size=3, num_channels=4, num_attention_heads=1)
    reference = vit.ViTEmbeddings(config).eval()
    torch.nn.init.zeros_(reference.position_embeddings)  # a stack's business
    ours = patches(image_size=6, patch_size=3, n_channels=4)
    projection = reference.patch_embeddings.projection
    ours.load_state_dict(
        {
            "class_token": reference.cls_token[0],
            "projection.weight": projection.weight.flatten(1),
            "projection.bias": projection.bias,
        }
    )
    images = torch.randn(B, 4, 6, 6)
    assert_close(vectors(ours, images), reference(images))
    assert ImagePatchesSpec(image_size=6, patch_size=3).length == 5


def test_with_its_weights_it_is_dinov2s_with_registers():
    name = "transformers.models.dinov2_with_registers.modeling_dinov2_with_registers"
    dino = pytest.importorskip(name)
    config = dino.Dinov2WithRegistersConfig(
        hidden_size=D,
        image_size=6,
        patch_size=3,
        num_channels=4,
        num_register_tokens=2,
        num_attention_heads=1,
    )
    reference = dino.Dinov2WithRegistersEmbeddings(config).eval()
    for parameter in (reference.cls_token, reference.register_tokens):
        torch.nn.init.normal_(parameter)
    torch.nn.init.zeros_(reference.position_embeddings)
    ours = patches(image_size=6, patch_size=3, n_channels=4, n_registers=2)
    projection = reference.patch_embeddings.projection
    ours.load_state_dict(
        {
            "class_token": reference.cls_token[0],
            "registers": reference.register_tokens[0],
            "projection.weight": projection.weight.flatten(1),
            "projection.bias": projection.bias,
        }
    )
    images = torch.randn(B, 4, 6, 6)
    assert_close(vectors(ours, images), reference(images))


def test_every_weight_gets_its_gradient(images):
    module = patches(n_registers=2).double()
    names = [name for name, _ in module.named_parameters()]
    assert names == ["class_token", "registers", "projection.weight", "projection.bias"]

    def run(*weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(
            module, given, (images[:, :, :4, :4].double(),), {"mask": None, "types": None}
        )[0]

    module.image_shape = (C, 4, 4)
    assert torch.autograd.gradcheck(run, [p.detach().requires_grad_() for p in module.parameters()])


@pytest.mark.parametrize("shape", [(B, C, W, H), (B, C + 1, H, W), (C, H, W), (B, C, H + 2, W)])
def test_another_image_size_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"images must be floats \[B, 3, 6, 8\] \(channels, height, width\), not"
    ):
        vectors(patches(), torch.randn(shape))


def test_integers_a_mask_and_types_are_refused(images):
    with pytest.raises(ValueError, match=r"must be floats .* not torch.uint8"):
        vectors(patches(), torch.zeros(B, C, H, W, dtype=torch.uint8))
    real = torch.ones(B, 13, dtype=torch.bool)
    for given in ({"mask": real, "types": None}, {"mask": None, "types": real.long()}):
        with pytest.raises(ValueError, match="no padding and no token types"):
            patches()(images, **given)


@pytest.mark.parametrize(
    ("size", "message"), [((6, 8), "height \\(6\\)"), ((8, 6), "width \\(6\\)"), (6, "height")]
)
def test_a_patch_that_does_not_fit_is_refused(size, message):
    with pytest.raises(ValueError, match=rf"patch_size \(4\) must divide the image's {message}"):
        ImagePatchesSpec(image_size=size, patch_size=4).check(d_model=D)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_vectors_have_the_weights_dtype(images, dtype):
    module = patches(n_registers=2).to(dtype)
    with torch.inference_mode():
        assert vectors(module, images.to(dtype)).dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert vectors(patches(), images).shape == (B, 13, D)


def test_on_meta_only_shapes_are_made():
    with torch.device("meta"):
        module = ImagePatches(
            d_model=D,
            image_size=6,
            patch_size=3,
            n_channels=1,
            bias=True,
            class_token=True,
            n_registers=2,
        )
        assert vectors(module, torch.empty(B, 1, 6, 6)).shape == (B, 7, D)
