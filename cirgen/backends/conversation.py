"""What a chat template is given: one turn of the user, texts and images in the order that the prompt asks for."""

from __future__ import annotations

from typing import Any

from cirgen.prompts import IMAGE_MARK


def conversation(prompt: str, images: int) -> list[dict[str, Any]]:
    """Return the messages of one rendered prompt about `images` images; without marks the images come first."""
    pieces = prompt.split(IMAGE_MARK)
    if len(pieces) != images + 1:
        pieces = [*[""] * images, prompt]
    content: list[dict[str, Any]] = []
    for place, piece in enumerate(pieces):
        if place:
            content.append({"type": "image"})
        if piece.strip():
            content.append({"type": "text", "text": piece.strip()})
    return [{"role": "user", "content": content}]
