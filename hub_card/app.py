"""A page to try the model in this folder, which `python app.py` serves, and a Space of the Hub.

It needs the packages of requirements.txt and `sentiment_lstm`, installed or as a folder beside this
file.
"""

import os
from pathlib import Path

from sentiment_lstm.page.layout import HOST, open_page

if __name__ == "__main__":
    # A Space says where to listen; nobody but this machine reaches the page otherwise.
    open_page(Path(__file__).parent, host=os.environ.get("GRADIO_SERVER_NAME", HOST))
