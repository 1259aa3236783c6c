"""What tests of several rooms share: a toy corpus, toy encoders, a toy task, small files of other toolkits."""
