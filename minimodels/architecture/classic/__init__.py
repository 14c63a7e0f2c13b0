"""Before transformers: counting, vectors, state, and the first attention.

ngram.py      what followed the last few words before, with Kneser–Ney's smoothing
word2vec.py   a vector for each word, from the words around it
window.py     a network that reads the vectors of the last few words
lstm.py       a state that is carried from word to word
seq2seq.py    one LSTM reads, another writes, and attention looks back
"""
