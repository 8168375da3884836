"""Text to token ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rdu.errors import RequestError, TokenizerError
from rdu.models.chat_template import ChatTemplate
from rdu.models.token_stream import TokenStream

if TYPE_CHECKING:
    import tokenizers


class Tokenizer:
    """A checkpoint's tokenizer.

    Parameters
    ----------
    backend : tokenizers.Tokenizer
    eos_ids : tuple of int
        Ids that end a text.
    bos_id : int or None
        The id that begins one, if the checkpoint has it.
    add_bos : bool or None
        Whether `encode` puts ``bos_id`` first; None leaves it to the backend's post-processor.
    template : ChatTemplate or None
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        eos_ids: tuple[int, ...] = (),
        bos_id: int | None = None,
        add_bos: bool | None = None,
        template: ChatTemplate | None = None,
    ) -> None:
        self._backend = backend
        self._template = template
        self.eos_ids = eos_ids
        self.bos_id = bos_id
        self.add_bos = add_bos

    @property
    def vocab_size(self) -> int:
        """Tokens in the vocabulary, added ones included; a model may have more rows."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def has_chat_template(self) -> bool:
        """Whether `chat` can be used."""
        return self._template is not None

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of ``text``; special tokens spelled in it (``<|im_end|>``) become their ids.

        Parameters
        ----------
        text : str
        add_special_tokens : bool
            Put the begin-of-text token first where the checkpoint wants one. False for a prompt that `chat` made: its
            template has written them.

        Raises
        ------
        RequestError
            Text that is no valid Unicode.
        """
        try:
            plain = list(self._backend.encode(text, add_special_tokens=False).ids)
            if not add_special_tokens:
                return plain
            if self.add_bos is None:
                return list(self._backend.encode(text, add_special_tokens=True).ids)
        except (TypeError, UnicodeError) as error:
            raise RequestError(f"text cannot be encoded ({error}); accepted: a str of valid Unicode") from error
        if self.add_bos and self.bos_id is not None:
            return [self.bos_id, *plain]
        return plain

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ``ids``; bytes that make no whole character show as U+FFFD.

        Raises
        ------
        RequestError
            An id that is negative or beyond 32 bits. An id without a token (padded vocabularies) adds nothing.
        """
        try:
            return str(self._backend.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens))
        except (OverflowError, TypeError, ValueError) as error:
            raise RequestError(f"token ids cannot be decoded ({error}); accepted: whole numbers from 0") from error

    def stream(self, *, skip_special_tokens: bool = False) -> TokenStream:
        """A decoder that takes ids one by one and gives text as soon as its characters are whole."""
        return TokenStream(lambda ids: self.decode(ids, skip_special_tokens=skip_special_tokens))

    def chat(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> str:
        """The prompt text for a conversation, by the checkpoint's own template.

        Parameters
        ----------
        messages : sequence of mappings
            Each with ``role`` (system, user, assistant) and ``content``.
        add_generation_prompt : bool
            End with the opening of the assistant's turn.

        Raises
        ------
        TokenizerError
            The checkpoint has no chat template, or the template fails.
        RequestError
            No messages, or one without role or content.
        """
        if self._template is None:
            raise TokenizerError("the checkpoint has no chat template; give it a plain prompt instead of messages")
        if not messages:
            raise RequestError("messages is empty; accepted: at least one message with role and content")
        for number, message in enumerate(messages):
            for key in ("role", "content"):
                if not isinstance(message.get(key), str):
                    raise RequestError(f"messages[{number}] has {key} {message.get(key)!r}; accepted: a string")
        return self._template.render(messages, add_generation_prompt)

    def chat_ids(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> list[int]:
        """`chat`, encoded without a second begin-of-text token."""
        return self.encode(self.chat(messages, add_generation_prompt=add_generation_prompt), add_special_tokens=False)
