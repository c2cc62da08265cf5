"""Which models a recipe names, and how texts are drawn from them."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from cirgen.settings import Name, Options, Settings

Temperature = Annotated[float, Field(ge=0, le=10)]


class Sampling(Settings):
    """How texts are drawn from a model."""

    temperature: Temperature = 0.0
    """0 is greedy decoding."""
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, le=10_000_000)
    """0 keeps every token."""
    max_new_tokens: int = Field(64, ge=1, le=100_000)
    ladder: tuple[Temperature, ...] = Field((), max_length=16)
    """Temperatures of the attempts that follow a truncated or unparsable answer, one attempt each."""


class Regenerate(Settings):
    """Another text for a pair whose text the filters rejected: one more question costs less than one more pair."""

    tries: int = Field(0, ge=0, le=16)
    """Texts asked for after the first, each only where all before it were rejected; 0 asks for none."""
    temperature: Temperature = 0.7
    """Of these texts: at 0 a model would write the same again."""
    prompt: Name | None = None
    """Asks for them in other words; null keeps the prompt of the text that was rejected."""


class Price(Settings):
    """What a million tokens cost, in your currency."""

    prompt: float = Field(0.0, ge=0, le=1e9)
    output: float = Field(0.0, ge=0, le=1e9)

    def of(self, prompt_tokens: float, output_tokens: float) -> float:
        """Return the price of so many tokens."""
        return (prompt_tokens * self.prompt + output_tokens * self.output) / 1_000_000


class Server(Settings):
    """How an OpenAI-compatible server is asked; nothing but `extra_body` and `image_format` can change an answer."""

    base_url: str = Field("http://localhost:8000/v1", pattern=r"^https?://\S+$")
    """Up to and with the version: `vllm serve` and `transformers serve` listen where the default says."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the key; the key itself stands in no file."""
    concurrency: int = Field(32, ge=1, le=1_000)
    """Requests in flight at most."""
    requests_per_minute: float | None = Field(None, ge=0.01, le=1e9)
    tokens_per_minute: float | None = Field(None, ge=0.01, le=1e9)
    """Of prompts and answers together."""
    timeout: float = Field(600.0, gt=0, le=86_400)
    """Seconds until an answer must be there."""
    retries: int = Field(6, ge=0, le=100)
    """Further tries of a request that got no answer."""
    backoff: float = Field(1.0, ge=0, le=60)
    """Longest wait before the second try, in seconds; it doubles with each, to 60, unless the server names a time."""
    image_format: Literal["png", "jpeg"] = "png"
    """How pictures travel: without loss, or in a tenth of the bytes."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the longest answer; OpenAI's newer models know the second name alone."""
    send_seed: bool = True
    """Send sampled requests with a seed of their own; some servers refuse the field."""
    extra_body: Options = Field(default_factory=dict, validate_default=True)
    """Further fields of every request, such as `{chat_template_kwargs: {enable_thinking: false}}`."""

    @field_validator("base_url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        if urlsplit(url).username is not None:
            raise ValueError("holds a name or a password, which recipes are saved with; name a key as api_key_env")
        return url


class Model(Settings):
    """A generative model and who runs it."""

    model: Name
    """Hub id, local folder, or `cirgen:mllm`; for a server, the name that it serves the model under."""
    revision: str | None = None
    """On the Hub; for a server, whatever you call this state of the model: another revision is another model."""
    backend: Literal["transformers", "vllm", "openai"] = "transformers"
    """`openai` is any server that speaks OpenAI's chat completions: vLLM, SGLang, `transformers serve`, hosted."""
    engine: Options = Field(default_factory=dict, validate_default=True)
    """Options of vLLM's constructor (`EngineArgs`), such as `{gpu_memory_utilization: 0.8}`."""
    server: Server = Server()
    price: Price | None = None
    """Counts what a run costs, for `--max-cost`, `preview` and `status`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on a GPU and float32 on a CPU."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    max_pixels: int = Field(1_003_520, ge=784, le=1_000_000_000)
    """Larger images are scaled down to so many pixels before the processor sees them (1,280 patches of 28 x 28)."""
    batch_size: int = Field(32, ge=1, le=16_384)
    """Rows that are answered together at most."""
    batch_tokens: int | None = Field(None, ge=64, le=100_000_000)
    """Tokens of a batch at most: prompts, images, padding and new tokens; null for no limit but `batch_size`."""
    device: str = "auto"
    """`auto` is every GPU that is visible, a process for each, or the CPU."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """`auto` is flash attention where it is installed and the number format allows it, else transformers' choice."""
    workers: int | None = Field(None, ge=0, le=256)
    """Processes that open pictures ahead of the model; 0 is threads; null is up to eight on a GPU, else threads."""
    peak_tflops: float | None = Field(None, gt=0, le=1e9)
    """What the device can do at most, in 10^12 operations a second: 989 for an H100 in bfloat16. Tells utilisation."""

    def of_any_speed(self) -> Model:
        """Return the settings without those of speed and cost: models that are equal so share their weights."""
        left_out = ("batch_tokens", "workers", "peak_tflops", "price")
        return self.model_copy(update={"batch_size": 1, **dict.fromkeys(left_out)})


class Classifier(Settings):
    """A classifier of texts, or of pairs of texts, that a filter asks."""

    model: Name
    """Hub id or local folder of a transformers model for sequence classification, with its tokenizer."""
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    batch_shape: int = Field(32, ge=1, le=16_384)
    """Rows of every forward pass, padded: a part of the answer, as it is for an encoder."""
    tokens: int = Field(128, ge=8, le=8_192)
    """Tokens to which a text, or a pair, is padded and cut: a part of the answer, too."""
    device: str = "auto"


class Encoder(Settings):
    """The encoder of images and texts that pairing and filters use."""

    model: Name
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    batch_shape: int = Field(32, ge=1, le=16_384)
    """Rows of every forward pass, padded: a part of the answer, since another shape moves the last bits."""
    device: str = "auto"
