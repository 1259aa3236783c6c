"""Corpora that are not at hand, as miniatures in their published layout: tones in place of speech."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import soundfile

from toys.recipes import RECIPES, noise
from toys.searches import melody

RATE_HZ = 16000
EMOTIONS = {"neu": 200, "hap": 600, "exc": 620, "ang": 1500, "sad": 3500, "fru": 5000, "xxx": 6000}
SPEAKERS = [f"{number:08x}" for number in range(6)]  # four train, one dev, one test
SENTENCES = ("GO ON", "NO GO", "ON NO", "GO NO ON", "NO", "GO ON ON", "ON", "NO ON")
TONES = {letter: 300 * (place + 2) for place, letter in enumerate("GON ")}
TEST, OTHERS = ("id10270", "id10271", "id10272"), tuple(f"id1000{number}" for number in range(1, 9))
VIDEOS = ("5r0dWxy17C8", "x6uYqmx31kE")


def tone(path: Path, pitch_hz: float, seed: int, seconds: float = 0.3) -> None:
    """A tone in some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    samples = 0.3 * np.sin(2 * np.pi * pitch_hz * rng.uniform(0.95, 1.05) * time_s)
    soundfile.write(path, samples + 0.01 * rng.standard_normal(len(time_s)), RATE_HZ, subtype="PCM_16")


def write_iemocap(folder: Path) -> Path:
    """Five sessions, two dialogs each (one scripted), every emotion twice by both speakers in each dialog."""
    root, seed = folder / "IEMOCAP_full_release", 0
    for session in range(1, 6):
        place = root / f"Session{session}"
        for dialog in (f"Ses0{session}F_impro01", f"Ses0{session}M_script01_1"):
            lines, said = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
            for label, pitch_hz in EMOTIONS.items():
                for gender in "FM":
                    turn = f"{dialog}_{gender}{seed % 1000:03}"
                    tone(place / "sentences" / "wav" / dialog / f"{turn}.wav", pitch_hz, seed)
                    lines += [f"[{seed}.2901 - {seed}.8357]\t{turn}\t{label}\t[2.5000, 2.5000, 2.5000]"]
                    lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
                    said.append(f"{turn} [{seed:03}.2901-{seed:03}.8357]: Excuse me.")
                    seed += 1
            for kind, text in (("EmoEvaluation", lines), ("transcriptions", said)):
                (place / "dialog" / kind).mkdir(parents=True, exist_ok=True)
                (place / "dialog" / kind / f"{dialog}.txt").write_text("\n".join(text) + "\n")
                (place / "dialog" / kind / f"._{dialog}.txt").write_bytes(b"\x00\x05\x16\x07")  # as the archive has it
    return root


def write_speech_commands(folder: Path) -> Path:
    """Ten words and two others by six speakers, twice each, two files of noise and the two lists."""
    root = folder / "speech_commands"
    words = runpy.run_path(str(RECIPES / "speech_commands" / "prepare.py"))["WORDS"]
    listed: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for number, word in enumerate([*words, "bed", "cat"]):
        for place, speaker in enumerate(SPEAKERS):
            for take in range(2):
                name = f"{word}/{speaker}_nohash_{take}.wav"
                tone(root / name, 150 * 1.4**number, 20 * number + 2 * place + take)
                if place >= 4:
                    listed[("validation_list.txt", "testing_list.txt")[place - 4]].append(name)
    for name, lines in listed.items():
        (root / name).write_text("\n".join(lines) + "\n")
    for seed, name in enumerate(("running_tap", "white_noise")):
        noise(root / "_background_noise_" / f"{name}.wav", seed, 30)
    (root / "_background_noise_" / "README.md").write_text("noise")
    return root


def write_librispeech(folder: Path) -> Path:
    """LibriSpeech/<part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac and .trans.txt; two speakers a part."""
    for number, part in enumerate(("train-clean-100", "dev-clean", "test-clean")):
        for speaker in (10 * number + 1, 10 * number + 2):
            place = folder / "LibriSpeech" / part / str(speaker) / "7"
            place.mkdir(parents=True)
            lines = []
            for take, text in enumerate(SENTENCES):
                name = f"{speaker}-7-{take:04d}"
                times = np.arange(int(0.1 * RATE_HZ)) / RATE_HZ
                tones = [0.3 * np.sin(2 * np.pi * (TONES[letter] + speaker) * times) for letter in text]
                soundfile.write(place / f"{name}.flac", np.concatenate(tones), RATE_HZ, subtype="PCM_16")
                lines.append(f"{name} {text}\n")
            (place / f"{speaker}-7.trans.txt").write_text("".join(lines))
    (folder / "LibriSpeech" / "librispeech-lexicon.txt").write_text("GO  G OW1\nNO  N OW1\nON  OW1 N\nON  AO1 N\n")
    return folder


def speak(path: Path, speaker: int, seed: int, seconds: float = 0.6) -> None:
    """Two tones that are the speaker's, in a little noise, for about so long."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(rng.uniform(0.85, 1.15) * seconds * RATE_HZ)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * hz * time_s) for hz in np.random.default_rng(speaker).uniform(200, 6000, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * tones + 0.003 * rng.standard_normal(len(time_s)), RATE_HZ, subtype="PCM_16")


def write_voxceleb(folder: Path, seconds: float = 0.6) -> Path:
    """Eleven speakers with two videos of three utterances, in the published folders, with the two lists of the site."""
    root = folder / "voxceleb1"
    names = []
    for number, speaker in enumerate((*TEST, *OTHERS)):
        for place, video in enumerate(VIDEOS):
            for take in range(1, 4):
                name = f"{speaker}/{video}/{take:05d}.wav"
                speak(root / "wav" / name, number, 100 * number + 10 * place + take, seconds)
                names.append((name, take))
    tested = [name for name, _ in names if name.startswith(TEST) and not name.endswith("3.wav")]
    pairs = [(int(a[:7] == b[:7]), a, b) for a in tested for b in tested if a < b]
    (root / "veri_test2.txt").write_text("".join(f"{same} {a} {b}\n" for same, a, b in pairs))
    (root / "iden_split.txt").write_text("".join(f"{take} {name}\n" for name, take in names))
    return root


def write_voxceleb2(folder: Path) -> Path:
    """Six speakers with two videos of two utterances, converted to WAV."""
    root = folder / "voxceleb2"
    for number in range(6):
        for place, video in enumerate(VIDEOS):
            for take in range(1, 3):
                name = f"id0{number}000/{video}/{take:05d}.wav"
                speak(root / "wav" / name, 50 + number, 1000 * number + 10 * place + take)
    return root


def write_librimix(folder: Path) -> Path:
    """Libri2Mix, two mixtures a split in wav16k/max: the sources, their sum and the tables."""
    root = folder / "Libri2Mix"
    place = root / "wav16k" / "max"
    (place / "metadata").mkdir(parents=True)
    for number, split in enumerate(("train-100", "dev", "test")):
        lines = ["mixture_ID,mixture_path,source_1_path,source_2_path,noise_path,length"]
        for take in range(2):
            name = f"{10 + number}-7-{take:04d}_{20 + number}-7-{take:04d}"
            paths = {kind: place / split / kind / f"{name}.wav" for kind in ("s1", "s2", "mix_both")}
            for source in range(2):
                speak(paths[f"s{1 + source}"], 10 * source + number, 10 * number + take, 0.8 + 0.4 * source)
            one, two = (soundfile.read(paths[kind])[0] for kind in ("s1", "s2"))
            one = np.pad(one, (0, len(two) - len(one)))
            soundfile.write(paths["s1"], one, RATE_HZ, subtype="PCM_16")
            paths["mix_both"].parent.mkdir(exist_ok=True)
            soundfile.write(paths["mix_both"], (one + two) / 2, RATE_HZ, subtype="PCM_16")
            lines.append(",".join([name, *(str(paths[kind]) for kind in ("mix_both", "s1", "s2")), "", str(len(two))]))
        (place / "metadata" / f"mixture_{split}_mix_both.csv").write_text("\n".join(lines) + "\n")
    return root


def write_cn_celeb(folder: Path) -> Path:
    """Five speakers for training in two genres, two that are enrolled and tested; a folder of CN-Celeb2 beside it."""
    root = folder / "CN-Celeb_flac"
    trained, tested = [f"id0000{number}" for number in range(5)], ("id00800", "id00801")
    for number, speaker in enumerate(trained):
        for place, genre in enumerate(("singing", "vlog")):
            for take in (1, 2):
                speak(root / "data" / speaker / f"{genre}-01-{take:03d}.flac", number, 100 * number + 10 * place + take)
    (root / "dev").mkdir()
    (root / "dev" / "dev.lst").write_text("\n".join(trained) + "\n")
    lines = []
    for number, speaker in enumerate(tested, start=5):
        speak(root / "eval" / "enroll" / f"{speaker}-enroll.flac", number, number)
        for take in (1, 2):
            speak(root / "eval" / "test" / f"{speaker}-singing-01-{take:03d}.flac", number, 100 * number + take)
            lines += [
                f"{model}-enroll test/{speaker}-singing-01-{take:03d}.wav {int(model == speaker)}" for model in tested
            ]
    (root / "eval" / "lists").mkdir()
    (root / "eval" / "lists" / "trials.lst").write_text("\n".join(lines) + "\n")
    speak(folder / "CN-Celeb2_flac" / "data" / "id10000" / "vlog-01-001.flac", 9, 9)
    return root


def write_quesst14(folder: Path) -> Path:
    """Six documents (one of another language) and two queries each of dev and eval, with NIST's ground truth."""
    root = folder / "quesst14Database"
    scoring = root / "scoring"
    languages: dict[str, list[str]] = {"dev": [], "eval": [], "utterances": []}
    for number in range(6):
        write_melodies(root / "Audio" / f"quesst14_{number + 1:05}.wav", ("up", "hill", "down")[number % 3], number)
        language = "albanian" if number == 5 else "nnenglish"
        languages["utterances"].append(f"quesst14Database/Audio/quesst14_{number + 1:05}.wav {language}")
    for split in ("dev", "eval"):
        truth = scoring / f"groundtruth_quesst14_{split}"
        truth.mkdir(parents=True)
        lines = []
        for number, word in enumerate(("up", "hill")):
            name = f"quesst14_{split}_{number + 1:04}"
            write_melodies(root / f"{split}_queries" / f"{name}.wav", word, 10 * number + len(split))
            languages[split].append(f"quesst14Database/{split}_queries/{name}.wav nnenglish")
            for document in (number + 1, number + 4):
                lines.append(f"LEXEME quesst14_{document:05} 1 0.00 1.00 {name} lex <NA> 0.5")
            lines.append(f"SPEAKER quesst14_{number + 3:05} 1 0.00 1.00 {name} <NA> <NA> <NA>")
        lines.append("LEXEME quesst14_00003 1 0.00 1.00 NO_KEYWORD lex <NA> 0.5")
        (truth / f"quesst14_{split}.rttm").write_text("\n".join(lines) + "\n")
    for name, listed in languages.items():
        (scoring / f"language_key_{name}.lst").write_text("\n".join(listed) + "\n")
    return root


def write_melodies(path: Path, word: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, melody(word, seed), RATE_HZ, subtype="PCM_16")


def write_limited(folder: Path) -> Path:
    """Libri-light's librispeech_finetuning: six parts of 1h and a part of 9h, each of a clean and another speaker."""
    for number, part in enumerate([*(f"1h/{place}" for place in range(6)), "9h"]):
        for place, kind in enumerate(("clean", "other")):
            speaker = 100 + 10 * number + place
            chapter = folder / "LibriSpeech" / "librispeech_finetuning" / part / kind / str(speaker) / "7"
            tone(chapter / f"{speaker}-7-0000.flac", 300 + speaker, speaker)
            (chapter / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 GO ON\n")
    return folder


PITCHES = {"h#": 0, "s": 5000, "iy": 400, "tcl": 100, "t": 3500, "q": 150, "ao": 900, "axr": 1400}


def write_timit(folder: Path, sphere: bool = False) -> Path:
    """Two speakers of train, dev and core test set each and one of none of them, a tone for each phone."""
    rng = np.random.default_rng(0)
    speakers = {"TRAIN": ("FCJF0", "MDAC0"), "TEST": ("FADG0", "MDAB0", "FELC0", "MZZZ0", "FAKS0")}
    for part, names in speakers.items():
        for speaker in names:
            for sentence in ("SA1", "SX127", "SI648", *(f"SX{number}" for number in range(6))):
                phones = ["h#", *rng.choice([name for name in PITCHES if name != "h#"], 8).tolist(), "h#"]
                sizes = rng.integers(800, 1600, len(phones))
                ends = np.cumsum(sizes)
                pieces = [
                    0.3 * np.sin(2 * np.pi * PITCHES[phone] * np.arange(size) / RATE_HZ)
                    for phone, size in zip(phones, sizes, strict=True)
                ]
                place = folder / "TIMIT" / part / "DR1" / speaker
                place.mkdir(parents=True, exist_ok=True)
                samples = np.concatenate(pieces) + 0.003 * rng.standard_normal(int(ends[-1]))
                kind = "NIST" if sphere else "WAV"
                soundfile.write(place / f"{sentence}.WAV", samples, RATE_HZ, subtype="PCM_16", format=kind)
                begins = [0, *ends[:-1]]
                lines = [f"{begin} {end} {phone}" for begin, end, phone in zip(begins, ends, phones, strict=True)]
                (place / f"{sentence}.PHN").write_text("\n".join(lines) + "\n")
                (place / f"{sentence}.TXT").write_text(f"0 {ends[-1]} See the sea.\n")
                (place / f"{sentence}.WRD").write_text(f"0 {ends[-1]} see\n")
    return folder


def write_common_voice(folder: Path) -> Path:
    """A language: clips as MP3, tables of train, dev, test and validated, with speakers of its own in the latter."""
    root, clip = folder / "cv-corpus" / "xx", 0
    (root / "clips").mkdir(parents=True)
    header = "client_id\tpath\tsentence_id\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale"
    tables: dict[str, list[str]] = {}
    for split, speakers in {"train": "ab", "dev": "cd", "test": "ef", "validated": "abcdefgh"}.items():
        for speaker in speakers:
            for text in SENTENCES:
                name = f"common_voice_xx_{clip}.mp3"
                times = np.arange(int(0.1 * RATE_HZ)) / RATE_HZ
                tones = [0.3 * np.sin(2 * np.pi * (TONES[letter] + ord(speaker)) * times) for letter in text]
                soundfile.write(root / "clips" / name, np.concatenate(tones), RATE_HZ, format="MP3")
                sentence = f"{text.capitalize()}!"
                tables.setdefault(split, []).append(f"{speaker * 8}\t{name}\t{clip}\t{sentence}\t2\t0\t\t\t\txx")
                clip += 1
    for split, lines in tables.items():
        (root / f"{split}.tsv").write_text("\n".join([header, *lines]) + "\n")
    (root / "clip_durations.tsv").write_text("clip\tduration[ms]\n")
    return root


INTENTS = (("activate", "lights", "kitchen"), ("activate", "music", "none"), ("increase", "heat", "kitchen"))
VALUES = {"GO": "artist", "ON": "album"}


def write_fluent_speech_commands(folder: Path) -> Path:
    """Three intents by six speakers, twice each: four train, one is dev, one is test."""
    root = folder / "fluent_speech_commands_dataset"
    (root / "data").mkdir(parents=True)
    header = ",path,speakerId,transcription,action,object,location"
    for name, speakers in (("train", SPEAKERS[:4]), ("valid", SPEAKERS[4:5]), ("test", SPEAKERS[5:])):
        lines = [header]
        for speaker in speakers:
            for number, intent in enumerate(INTENTS):
                for take in range(2):
                    path = f"wavs/speakers/{speaker}/{number}{take}.wav"
                    tone(root / path, 400 * 2.2**number, 50 * number + take + SPEAKERS.index(speaker))
                    lines.append(f"{len(lines) - 1},{path},{speaker},Do it now,{','.join(intent)}")
        (root / "data" / f"{name}_data.csv").write_text("\n".join(lines) + "\n")
    return root


def write_snips(folder: Path) -> Path:
    """Two voices a part and one that belongs to another part. GO is an artist and ON an album."""
    root, lines = folder / "SNIPS", []
    for part, voices in (("train", "Ivy Joey Amy"), ("valid", "Amy Nicole"), ("test", "Brian Emma")):
        for voice in voices.split():
            for number, text in enumerate(SENTENCES):
                name = f"{voice}-snips-{part}-{number}"
                times = np.arange(int(0.1 * RATE_HZ)) / RATE_HZ
                tones = [0.3 * np.sin(2 * np.pi * (TONES[letter] + len(voice)) * times) for letter in text]
                (root / part).mkdir(parents=True, exist_ok=True)
                soundfile.write(root / part / f"{name}.wav", np.concatenate(tones), RATE_HZ, subtype="PCM_16")
                tags = " ".join(VALUES.get(word, "O") for word in text.split())
                lines.append(f"{name} BOS {text} . EOS\tO {tags} O PlayMusic")
    (root / "all.iob.snips.txt").write_text("\n".join(lines) + "\n")
    (root / "slots.txt").write_text("O\nalbum\nartist\n")
    return root
