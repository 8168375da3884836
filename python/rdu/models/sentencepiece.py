"""SentencePiece BPE has a score per token; the ``tokenizers`` library wants the merges those scores imply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def merges_from_scores(vocab: Mapping[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Pairs of tokens in the order in which they are joined: the result's score decides, best first.

    The order is that of ``SentencePieceExtractor`` in Hugging Face transformers (``convert_slow_tokenizer.py``).

    Parameters
    ----------
    vocab : mapping
        Token text to id.
    scores : sequence of float
        By id; SentencePiece gives -rank.
    """
    merges: list[tuple[float, int, int, str, str]] = []
    for token, index in vocab.items():
        pairs = []
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocab and right in vocab:
                pairs.append((vocab[left], vocab[right], left, right))
        merges += [(scores[index], len(left), len(right), left, right) for _, _, left, right in sorted(pairs)]
    merges.sort(key=lambda merge: merge[:3], reverse=True)
    return [(left, right) for *_, left, right in merges]
