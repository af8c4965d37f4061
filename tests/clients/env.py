"""A virtual environment of its own for each foreign client, outside the product's.

Problem: clients pin libraries against each other, and one of them in the product's environment would decide what the
product runs on. So each lives under `.clients/<name>`, made once by the ordinary pip from exact versions.
What must stay true: an environment is used only when the versions it was made from are those asked for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CCXT = ("ccxt==4.5.90",)
SDK = ("binance-sdk-derivatives-trading-usds-futures==18.1.0",)


def python_of(name: str, requirements: tuple[str, ...]) -> Path:
    """
    The interpreter of a client's environment, made when it is missing or was made from other versions.

    Raises:
        CalledProcessError: pip could not install.
    """
    home = ROOT / ".clients" / name
    python, made_from = home / "bin" / "python", home / "made_from.txt"
    text = "\n".join(requirements) + "\n"
    if python.exists() and made_from.exists() and made_from.read_text() == text:
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements]
    subprocess.run(pip, check=True)
    made_from.write_text(text)
    return python
