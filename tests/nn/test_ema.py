"""The moving average of a student, and its ramp."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from audiossl.nn.ema import EmaTeacher, linear_ramp


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.blocks = nn.Linear(3, 3), nn.ModuleList([nn.Linear(3, 3), nn.Dropout(0.5)])
        self.norm = nn.BatchNorm1d(3)


def moved(student: Student) -> Student:
    with torch.no_grad():
        for tensor in student.state_dict().values():
            tensor.add_(1)
    return student


def test_all_parameters_are_averaged_and_buffers_follow() -> None:
    student = Student()
    before = copy.deepcopy(student.state_dict())
    teacher = EmaTeacher(student)
    teacher.update(moved(student), 0.9)
    for name, value in teacher.model.state_dict().items():
        share = 1.0 if "running" in name or "num_batches" in name else 0.1
        torch.testing.assert_close(value, before[name] + (share if value.is_floating_point() else 1))


def test_what_is_not_averaged_follows_the_student() -> None:
    student = Student()
    before = copy.deepcopy(student.state_dict())
    teacher = EmaTeacher(student, ("blocks.",))
    teacher.update(moved(student), 0.75)
    model = teacher.model
    assert isinstance(model, Student)
    assert torch.equal(model.stem.weight, student.stem.weight)
    torch.testing.assert_close(model.blocks[0].weight, before["blocks.0.weight"] + 0.25)


def test_it_neither_trains_nor_drops() -> None:
    holder = nn.ModuleDict({"teacher": EmaTeacher(Student())}).train()
    assert not any(module.training for module in holder["teacher"].modules() if module is not holder["teacher"])
    assert not any(parameter.requires_grad for parameter in holder.parameters())
    assert "teacher.model.blocks.0.weight" in holder.state_dict()


@pytest.mark.parametrize(("step", "tau"), [(0, 0.999), (15_000, 0.99945), (30_000, 0.9999), (10**6, 0.9999)])
def test_published_ramp(step: int, tau: float) -> None:
    assert linear_ramp(step, 0.999, 0.9999, 30_000) == pytest.approx(tau, abs=1e-12)
