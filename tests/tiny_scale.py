"""A scale at which a whole table takes seconds."""

from dataclasses import replace

from pointdistill.recipes.quickstart import WorldRecipe, quickstart
from pointdistill.reproduce.scales import Scale, SmallWorld, small_scale


def tiny_scale(**changes) -> Scale:
    """The small scale with a handful of rooms and objects and a few steps of everything."""
    whole, smoke = small_scale(), quickstart("fast")
    engine = replace(whole.base.engine, epochs=1, checkpoint_every=2, validate_every=2, warmup_epochs=0.5)
    base = replace(whole.base, engine=engine)
    world: WorldRecipe = replace(smoke.world, pretrain_rooms=2, heldout_rooms=1, object_points=256)
    few = {"steps": 4, "eval_every": 2, "warmup": 1, "head_warmup": 0, "checkpoint_every": 2}
    tasks = {
        name: replace(recipe, optimisation=replace(recipe.optimisation, **few)) for name, recipe in whole.tasks.items()
    }
    chosen = replace(
        whole,
        base=base,
        tasks=tasks,
        labels=dict.fromkeys(whole.labels, 1),
        votes=replace(whole.votes, votes=2, vote_repeats=2),
        networks={
            name: replace(recipe, optimisation=replace(recipe.optimisation, **few))
            for name, recipe in whole.networks.items()
        },
        probes=replace(whole.probes, every=1, labels=1, train_frames=8, heldout_frames=8),
        objects_a_class=2,
        fractions=(0.5, 1.0),
        seeds=2,
        second=dict.fromkeys(whole.second, 1),
        world=SmallWorld(world, objects=2, shapes=2, heldout_shapes=1),
    )
    return replace(chosen, **changes)
