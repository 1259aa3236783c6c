"""What each layer of an encoder shares with other layers, log mel frames, phones, words, speakers and any other column.

`views` is what layers are compared with. `gathering` passes once over the hidden states and keeps sums and pooled
states by groups of speakers. `crossing` makes measures with intervals of sums. `clusters` compares k-means units with
labels. `grid` compares every layer with every other, of all encoders. `study` does all of it. `writing` is its folder.
"""
