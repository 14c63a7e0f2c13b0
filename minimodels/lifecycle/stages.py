"""The nine stages, each a function of a Run: do the work, and return what it measured.

A result is plain data: {"rows": [[what was measured, before, after], …], "fact": {…}, …}. `rows`
goes into the closing table, `fact` is what the stage knows of the reader's fact, and the rest
feeds the figures. Every claim of the course about the lifecycle is asserted in checks.py.
"""

import itertools
import time
from contextlib import contextmanager
from dataclasses import replace

import torch

from minimodels import files
from minimodels.agents import tasks as agent_tasks
from minimodels.agents.loop import answer, calls, run
from minimodels.agents.tools import CALCULATOR, Directory
from minimodels.architecture import checkpoint, score
from minimodels.architecture.build import build
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import get
from minimodels.cluster.survey import survey
from minimodels.data.dedup import deduplicate
from minimodels.data.dirt import add_dirt
from minimodels.data.documents import documents
from minimodels.data.filters import Filter
from minimodels.data.mixture import SHARES, mix
from minimodels.data.packing import TokenArray, pack
from minimodels.data.real import python_prose
from minimodels.data.tokenizer import train_tokenizer
from minimodels.data.vocabulary import form
from minimodels.data.wordings import HELD_OUT
from minimodels.evaluation import facts as knowledge
from minimodels.evaluation.metrics import bootstrap_interval
from minimodels.finetuning import lora
from minimodels.finetuning.chat import prompt
from minimodels.finetuning.conversations import assistant_course, tool_course, user
from minimodels.finetuning.sft import conversation_batches, with_documents
from minimodels.inference import int8, stream
from minimodels.parallelism.launch import compare_with_one
from minimodels.parallelism.sharding import owner_of_row
from minimodels.parallelism.train_ddp import Recipe
from minimodels.training.measure import flops_per_token
from minimodels.training.trainer import TrainConfig, past_rows, train

PROSE_SHARE = 0.03  # of the documents: Python's own manual beside the invented world
PRETRAIN = TrainConfig(steps=1, learning_rate=0.008, optimizer="muon", warmup_steps=30,
                       checkpoint_every=100)
TOOLS = TrainConfig(steps=1, learning_rate=0.003, warmup_steps=20, weight_decay=0.0)
ANSWERS = TrainConfig(steps=1, learning_rate=0.004, warmup_steps=20, weight_decay=0.0)
COURSE_BATCH = 64  # conversations a step


def mean(values):
    return sum(values) / len(values)


# ---- 01 cluster: what can this machine do? ------------------------------------------------------

def cluster(run):
    """Measure the machine, and predict how long its arithmetic alone will take to pretrain."""
    found = survey(fresh=True)
    model = build(run.model, device="meta")
    tokens = run.size.steps * run.size.batch_size * run.size.seq_len
    flops = flops_per_token(model, run.size.seq_len)
    seconds = tokens * flops / (found.float32_gflops * 1e9)
    one = one_core_gflops()
    return {
        "rows": [["matrix GFLOP/s, one core → all", one, found.float32_gflops]],
        "predicted_seconds": seconds, "tokens": tokens, "flops_per_token": flops,
        "survey": {"processor": found.processor, "cores": found.cores, "memory_gb": found.memory_gb,
                   "copy_gbs": found.copy_gbs, "float32_gflops": found.float32_gflops},
        "fact": {},
    }


def one_core_gflops(size=512, rounds=8):
    """GFLOP/s of a square matrix product on a single thread."""
    a, best = torch.randn(size, size), float("inf")
    with one_thread():
        for _ in range(rounds):
            start = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


# ---- 02 data: from a dirty web to tokens --------------------------------------------------------

def data(run):
    """Tell the world, dirty it, clean it, remove copies, mix, tokenize and pack."""
    clean = clean_documents(run)
    exam = held_out_sentences(run)
    dirty = add_dirt(clean, run.seed, benchmark=exam)
    kept, reasons = Filter(benchmark=exam)(dirty)
    unique, merged = deduplicate(kept)
    tokenizer = train_tokenizer((d["text"] for d in unique[:12_000]), get(run.model).vocab_size,
                                run.path("tokenizer.model"))
    heldout = list(itertools.islice(documents(run.world, seed=run.seed + 1), 300))
    pack(heldout, tokenizer, run.path("heldout"))
    total = run.size.steps * run.size.batch_size * run.size.seq_len + run.size.seq_len + 1
    mixed, shares = mix(unique, lambda d: len(tokenizer.encode(d["text"])) + 2,
                        SHARES, total, run.seed)
    tokens = pack(mixed, tokenizer, run.path("tokens"))
    fact_id = run.fact.id
    value = form(run.fact.attribute, run.fact.value, "en")
    told = {name: sum(fact_id in d["facts"] for d in stage)
            for name, stage in (("told", dirty), ("kept", kept), ("unique", unique))}
    return {
        "rows": [["dirty documents", dirt_share(dirty), dirt_share(unique)],
                 ["bytes a token", 1.0, bytes_a_token(unique[:2000], tokenizer)]],
        "documents": {"clean": len(clean), "dirty": len(dirty),
                      "kept": len(kept), "unique": len(unique)},
        "reasons": dict(reasons), "tokens": len(tokens.tokens),
        "shares": {group: row["share"] for group, row in shares.items()},
        "fact": told | {"sentence": run.sentence, "pieces": tokenizer.pieces(run.sentence),
                        "value_ids": tokenizer.encode(value + "."), "value": value,
                        "seen": len(tokens.positions_of_fact(fact_id))},
    }


def clean_documents(run):
    """The world's documents, Python's prose among them, and the reader's own sentence first."""
    reader = {"id": "d-reader", "text": run.sentence, "lang": "en", "kind": "biography",
              "source": "reader", "labels": {}, "facts": [run.fact.id]}
    made = list(itertools.islice(documents(run.world, seed=run.seed), run.size.documents))
    prose = list(itertools.islice(python_prose(), int(PROSE_SHARE * len(made))))
    return [reader, *made, *prose]


def held_out_sentences(run):
    """Every held-out wording of every fact: the exam that must not leak into the documents."""
    return [wording.format(n=run.world.person(f.subject).name, v=form(f.attribute, f.value, "en"))
            for f in run.world.facts.values() for wording in HELD_OUT[f.attribute]]


def dirt_share(docs):
    return mean([bool(d["labels"].get("dirt")) for d in docs])


def bytes_a_token(docs, tokenizer):
    return (sum(len(d["text"].encode()) for d in docs)
            / sum(len(tokenizer.encode(d["text"])) for d in docs))


# ---- 03 architecture: the model before it knows anything -----------------------------------------

def architecture(run):
    """Build the model; its loss must be ln V, its cache as small as its key/value heads."""
    config = get(run.model)
    torch.manual_seed(run.seed)
    model = build(config).eval()
    all_heads = replace(config, num_kv_heads=config.num_heads)
    heldout = TokenArray(run.path("heldout"))
    return {
        "rows": [["cache bytes a token, all heads → shared",
                  *map(cache_bytes, (all_heads, config))]],
        "parameters": sum(p.numel() for p in model.parameters()),
        "untrained_perplexity": score.perplexity(model, heldout.tokens, run.size.seq_len),
        "vocab_size": config.vocab_size,
        "fact": knowledge.belief(model, run.tokenizer, run.world, run.fact),
    }


def cache_bytes(config):
    """Bytes that a real cache holds for one token."""
    return KVCache(config, batch_size=1, max_length=1, dtype=torch.float32).nbytes


# ---- 04 training: facts become weights -----------------------------------------------------------

def training(run):
    """Pretrain on the mixture; look every so often at what is known by then."""
    tokenizer, world = run.tokenizer, run.world
    heldout = TokenArray(run.path("heldout"))
    batches = TokenArray(run.path("tokens")).windows(
        run.size.seq_len, run.size.batch_size, run.seed)
    items = knowledge.choice_items(world, run.facts_of(world.people, run.size.items))
    torch.manual_seed(run.seed)
    model = build(run.model)
    untrained = mean(knowledge.choice_hits(model.eval(), tokenizer, items))
    looks = files.read_json(run.path("looks.json")) if past_rows(run.path("pretraining")) else []
    every, started = max(1, run.size.steps // 16), time.perf_counter()
    config = replace(PRETRAIN, steps=run.size.steps, seed=run.seed)
    for row in train(model, batches, config, run.path("pretraining")):
        if row["step"] % every == every - 1 or row["step"] + 1 == run.size.steps:
            looks = [look for look in looks if look["step"] < row["step"]]
            looks.append(look_at(model, tokenizer, world, run.fact, items[:100], row["step"]))
            files.write_json(run.path("looks.json"), looks)
    checkpoint.save(model.eval(), tokenizer, run.path("base"))
    rows = past_rows(run.path("pretraining"))
    return {
        "rows": [["facts known, choice of four", untrained,
                  mean(knowledge.choice_hits(model, tokenizer, items))],
                 ["perplexity of unseen documents",
                  run.result("architecture")["untrained_perplexity"],
                  score.perplexity(model, heldout.tokens, run.size.seq_len)]],
        "losses": [[r["step"], r["loss"]] for r in rows[:: max(1, len(rows) // 100)]],
        "looks": looks, "wall_seconds": time.perf_counter() - started,
        "tokens_per_second": sorted(r["tokens_per_second"] for r in rows)[len(rows) // 2],
        "fact": looks[-1]["fact"] | {"crossed": crossed(looks)},
    }


def look_at(model, tokenizer, world, fact, items, step):
    model.eval()
    return {"step": step, "choice": mean(knowledge.choice_hits(model, tokenizer, items)),
            "fact": knowledge.belief(model, tokenizer, world, fact)}


def crossed(looks, bar=0.5):
    """The first look from which on the fact's probability stays above `bar`, or None."""
    step = None
    for look in reversed(looks):
        if look["fact"]["probability"] <= bar:
            break
        step = look["step"]
    return step


# ---- 05 parallelism: two processes, one model ----------------------------------------------------

def parallelism(run):
    """The same steps on one core and on two processes: equal gradients, more tokens a second."""
    recipe = Recipe(model=run.model, data=str(run.path("tokens")), batch_size=16,
                    length=run.size.seq_len, steps=4, seed=run.seed)
    with one_thread():
        found = compare_with_one(recipe)
    vocab = get(run.model).vocab_size
    row = run.result("data")["fact"]["value_ids"][-2]  # before the full stop
    return {
        "rows": [["tokens/s, one core → two processes", found["one"]["tokens_per_second"],
                  found["two"]["tokens_per_second"]]],
        "gradient_difference": found["gradient_difference"],
        "gradient_largest": found["gradient_largest"],
        "weights_equal": len(set(found["two"]["weights"])) == 1,
        "fact": {"row": row, "rank_of_2": owner_of_row(row, vocab, 2),
                 "rank_of_8": owner_of_row(row, vocab, 8)},
    }


@contextmanager
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---- 06 finetuning: from a base model to an assistant --------------------------------------------


def finetuning(run):
    """Teach tools, and the form of an answer on most people; ask about the others."""
    tokenizer, base = run.tokenizer, run.load("base")
    pairs, unseen = questions(run), questions(run, held_out=True)
    before = [mean(knowledge.answer_hits(base, tokenizer, some)) for some in (pairs, unseen)]
    belief = knowledge.belief(base, tokenizer, run.world, run.fact)
    chat = finetune(run, base)
    checkpoint.save(chat, tokenizer, run.path("chat"))
    torch.manual_seed(run.seed)
    blank = finetune(run, build(run.model))
    replies = knowledge.ask(chat, tokenizer, [messages for messages, _ in pairs[:1]])
    after = [mean(knowledge.answer_hits(chat, tokenizer, some)) for some in (pairs, unseen)]
    control = mean(knowledge.answer_hits(blank, tokenizer, pairs))
    return {
        "rows": [["exact answers on others' facts", before[0], after[0]],
                 ["… asked in wordings never seen", before[1], after[1]],
                 ["… finetuned without pretraining", 0.0, control]],
        "before": before[0], "after": after[0], "without_pretraining": control,
        "fact": {"question": pairs[0][0][0]["content"], "answer": replies[0], "truth": pairs[0][1],
                 "before": belief["probability"],
                 "after": knowledge.belief(chat, tokenizer, run.world, run.fact)["probability"]},
    }


def questions(run, held_out=False):
    """Questions about people whom finetuning never mentions, the reader's first."""
    facts = run.facts_of(run.others, run.size.items)
    return knowledge.questions(run.world, facts, held_out=held_out)


def finetune(run, model):
    """Two courses, one after the other, as the large models are taught (Nemotron-4 340B, 2024,
    arXiv 2406.11704, section 3.2: first code, then everything).

    Tools first, with all weights: copying a name or a number into a call is a new skill, and no
    small change of the weights. Documents go along, so that the facts stay. Then answers, with
    LoRA: all weights at once would learn the taught people by heart, and answer less about others.
    """
    tools = tool_course(run.world, run.size.tool_steps * COURSE_BATCH, run.seed)
    documents = TokenArray(run.path("tokens")).windows(64, 8, run.seed)
    learn(run, model, with_documents(batches_of(run, tools), documents, run.tokenizer.pad_id),
          TOOLS, run.size.tool_steps)
    lora.apply(model, rank=8)
    answers = assistant_course(run.world, run.taught, run.size.conversations, run.seed)
    learn(run, model, batches_of(run, answers), ANSWERS, run.size.finetune_steps)
    return lora.merge(model).eval()


def batches_of(run, course):
    return conversation_batches(course, run.tokenizer, COURSE_BATCH, run.seed)


def learn(run, model, batches, config, steps):
    for _ in train(model, batches, replace(config, steps=steps, seed=run.seed)):
        pass


# ---- 07 inference: fast and small ----------------------------------------------------------------

def inference(run):
    """Write with and without a cache; store the weights in a byte each; ask again."""
    tokenizer, chat = run.tokenizer, run.load("chat")
    text = prompt([user("Who are you?")], tokenizer)
    found = stream.compare(chat, text, 96)
    speed = {way: 1000 / median(found[way]["milliseconds"][-16:]) for way in ("uncached", "cached")}
    small = int8.quantize(chat)
    pairs = questions(run)
    reply = knowledge.ask(small, tokenizer, [messages for messages, _ in pairs[:1]])[0]
    return {
        "rows": [["tokens/s at token 96, no cache → cache", speed["uncached"], speed["cached"]],
                 ["megabytes, float32 → int8",
                  int8.weight_bytes(chat) / 1e6, int8.weight_bytes(small) / 1e6],
                 ["exact answers after int8", run.result("finetuning")["after"],
                  mean(knowledge.answer_hits(small, tokenizer, pairs))]],
        "same_text": found["same"], "logit_difference": found["logit_difference"],
        "token_forwards": {way: found[way]["token_forwards"] for way in ("uncached", "cached")},
        "fact": {"answer": reply,
                 "probability": knowledge.belief(small, tokenizer, run.world,
                                                 run.fact)["probability"]},
    }


def median(values):
    return sorted(values)[len(values) // 2]


# ---- 08 evaluation: how sure are we? -------------------------------------------------------------

def evaluation(run):
    """Every fact of the others in a wording no document used, with an interval."""
    tokenizer, base = run.tokenizer, run.load("base")
    items = knowledge.choice_items(run.world, run.facts_of(run.others), seed=run.seed + 1)
    hits = knowledge.choice_hits(base, tokenizer, items)
    low, high = bootstrap_interval(hits, seed=run.seed)
    heldout = TokenArray(run.path("heldout"))
    perplexities = perplexity_by_language(base, heldout, run.size.seq_len)
    return {
        "rows": [["choice of four, chance → base", 0.25, mean(hits)]],
        "interval": [low, high], "items": len(items), "perplexity": perplexities,
        "fact": knowledge.belief(base, tokenizer, run.world, run.fact, seed=1),
    }


def perplexity_by_language(model, heldout, window):
    """{language: perplexity} of the held-out documents, and of Python's prose by contrast."""
    found = {}
    for lang in ("en", "zh", "es", "de", "python"):
        parts = [heldout.tokens[d["start"]:d["stop"]]
                 for d in heldout.documents_in(0, len(heldout)) if d["lang"] == lang]
        if parts:
            ids = torch.cat([torch.as_tensor(part[:].astype("int64")) for part in parts])
            found[lang] = score.perplexity(model, ids, window)
    return found


# ---- 09 agents: a model that acts ----------------------------------------------------------------

def agents(run):
    """Tasks that need a tool, with and without it, and tasks that need none."""
    tokenizer, chat = run.tokenizer, run.load("chat")
    directory = Directory(run.seed)
    exam = agent_tasks.tasks(run.world, run.others, directory, run.size.tasks, run.seed)
    alone = agent_tasks.score_without_tools(chat, tokenizer, exam)
    acted = agent_tasks.score(chat, tokenizer, exam, directory)
    question = run.result("finetuning")["fact"]["question"]
    talk = run_agent(chat, tokenizer, question, directory)
    return {
        "rows": [["sums solved, alone → calculator", alone["calculator"], acted["calculator"]],
                 ["look-ups solved, alone → directory", alone["lookup"], acted["lookup"]],
                 ["no tool where none is needed", None, acted["restraint"]]],
        "known": acted["known"],
        "fact": {"question": question, "answer": answer(talk), "calls": calls(talk)},
    }


def run_agent(model, tokenizer, question, directory):
    return run(model, tokenizer, [user(question)], [CALCULATOR, directory.tool()])


TABLE = {function.__name__: function for function in (
    cluster, data, architecture, training, parallelism, finetuning, inference, evaluation, agents)}
