"""What this callback promises."""

from types import SimpleNamespace

from zoo.kinds import CALLBACK

from my_part import MyPart, MyPartSpec


def callback() -> MyPart:
    return CALLBACK.build(MyPartSpec(target=2.0))


def test_it_ends_a_training_that_has_reached_its_target_and_no_other() -> None:
    found, trainer = callback(), SimpleNamespace(should_stop=False)
    for loss, is_over in ((3.0, False), (2.5, False), (2.0, True)):
        trainer.callback_metrics = {"val_loss": loss}
        found.on_validation_end(trainer, None)
        assert trainer.should_stop is is_over


def test_it_goes_on_from_what_it_remembers() -> None:
    found, again = callback(), callback()
    found.best = 2.25
    again.load_state_dict(found.state_dict())
    assert again.best == 2.25
