"""Texts of pairs files → pairs, or what is said of the line that is wrong."""

import re

import pytest

from tf_facenet.data import people
from tf_facenet.data.pairs_layouts import parse

LFW = [("Ann/Ann_0001", "Ann/Ann_0002", True), ("Ann/Ann_0001", "Bo/Bo_0012", False)]
FILES = [("Ann/1.jpg", "Ann/2.jpg", True), ("Ann/1.jpg", "Bo/1.png", False)]
SPACES = [("Ann Lee/Ann Lee_0001", "Ann Lee/Ann Lee_0002", True), ("Ann Lee/Ann Lee_0001", "Bo/Bo_0012", False)]


@pytest.mark.parametrize(("text", "expected"), [
    # LFW's, with each header
    ("1\t1\nAnn\t1\t2\nAnn\t1\tBo\t12\n", LFW), ("1\nAnn 1 2\nAnn 1 Bo 12", LFW), ("Ann  1\t2\nAnn 1 Bo 12", LFW),
    ("1 1\r\nAnn 1 2 \r\n\r\n \t\r\nAnn 1 Bo 12\t\r\n", LFW), ("Ann\t1\t2\t\nAnn\t1\tBo\t12\t", LFW),
    ("Ann Lee\t1\t2\nAnn Lee\t1\tBo\t12", SPACES), ("name number number\nAnn 1 2\nAnn 1 Bo 12", LFW),
    # Kaggle's matchpairsDevTest.csv and mismatchpairsDevTest.csv in one file, and pairs.csv
    ("name,imagenum1,imagenum2\nAnn,1,2\nname,imagenum1,name,imagenum2\nAnn,1,Bo,12\n", LFW),
    ("name,imagenum1,imagenum2,\nAnn,1,2,\nAnn,1,Bo,12\n", LFW),
    ("name,imagenum1,imagenum2,Unnamed: 3\nAnn Lee,1,2,\nAnn Lee,1,Bo,12\n", SPACES),
    # two files and a label, which comes last or first
    ("Ann/1.jpg\tAnn/2.jpg\t1\nAnn/1.jpg\tBo/1.png\t0", FILES), ("Ann/1.jpg Ann/2.jpg 1\nAnn/1.jpg Bo/1.png -1", FILES),
    ("1 1\nAnn/1.jpg,Ann/2.jpg,True\nAnn/1.jpg,Bo/1.png,False", FILES),
    ("img1;img2;is_same\nAnn/1.jpg;Ann/2.jpg;same\nAnn/1.jpg;Bo/1.png;Different\n", FILES),
    ("photo_1,photo_2,label\nAnn/1.jpg, Ann/2.jpg, 1,\nAnn/1.jpg, Bo/1.png, 0,", FILES),
    ("img1,img2,same\nAnn/1.jpg,Ann/2.jpg,1\nAnn/1.jpg,Bo/1.png,0", FILES),
    ("img1 img2 same\nimg2 img3 different", [("img1", "img2", True), ("img2", "img3", False)]),
    ("1 Ann/1.jpg Ann/2.jpg\n0 Ann/1.jpg Bo/1.png", FILES), ("+1,Ann/1.jpg,Ann/2.jpg\n-1,Ann/1.jpg,Bo/1.png", FILES),
    ('"Lee, Ann/1.jpg","b 2.jpg",1', [("Lee, Ann/1.jpg", "b 2.jpg", True)]),
    ("a_1 b_1 0", [("a_1", "b_1", False)]),
    # CALFW's (a number above 0 is a fold of same pairs) and CPLFW's
    ("Ann_0001.jpg 3\nAnn_0002.jpg 3\nAnn_0001.jpg 0\nBo_0012.jpg 0\n",
     [("Ann_0001.jpg", "Ann_0002.jpg", True), ("Ann_0001.jpg", "Bo_0012.jpg", False)]),
    ("Ann_1.jpg\t1\n\nAnn_2.jpg\t1\n", [("Ann_1.jpg", "Ann_2.jpg", True)])])
def test_what_is_read(text, expected):
    assert parse(text, "pairs.txt").pairs == expected


@pytest.mark.parametrize(("text", "said"), [
    ("10 300\nAnn 1 2\n", "1 pairs as LFW's 'name i j' or 'name1 i name2 j', separated by blanks, after the first line "
                          "'10 300'"),
    ("a.jpg,b.jpg,1", "1 pairs as 'file file label', separated by commas, without a header"),
    ("x,name,\n1,a.jpg,b.jpg", "1 pairs as 'label file file', separated by commas, under the columns 'x,name,'"),
    ("a.jpg\t1\nb.jpg\t1", "1 pairs as CALFW's and CPLFW's 'file label' on two lines a pair, separated by tabs, "
                           "without a header")])
def test_the_layout_is_named(text, said):
    assert str(parse(text, "pairs.txt")) == said


AS_LFW = "LFW's 'name i j' or 'name1 i name2 j', separated by "
AS_CALFW = "CALFW's and CPLFW's 'file label' on two lines a pair, separated by blanks, as in line 1"


@pytest.mark.parametrize(("text", "number", "expected", "line"), [
    # a first line that is no pair is no header either
    ("Ann 1 x\nAnn 1 2\nBo 1 2", 1, f"{AS_LFW}blanks, as in line 2", "Ann 1 x"),
    ("my list\nAnn\t1\t2", 1, f"{AS_LFW}tabs, as in line 2", "my list"),
    ("images/a.jpg images/b.jpg\na.jpg b.jpg 0", 1, "'file file label', separated by blanks, as in line 2",
     "images/a.jpg images/b.jpg"),
    # mixtures
    ("Ann 1 2\n\na/1.jpg a/2.jpg 1", 3, f"{AS_LFW}blanks, as in line 1", "a/1.jpg a/2.jpg 1"),
    ("Ann Lee\t1\t2\nBo 1 2", 2, f"{AS_LFW}tabs, as in line 1", "Bo 1 2"),
    ("a.jpg b.jpg 1\n1 a.jpg b.jpg\n", 2, "'file file label', separated by blanks, as in line 1", "1 a.jpg b.jpg"),
    ("a.jpg b.jpg 1\na.jpg c.jpg 0\nb.jpg c.jpg -1", 3, "the label '1' or '0', as in the other lines",
     "b.jpg c.jpg -1"),
    ("name,i,j\nAnn,1,2\nAnn,1,2,3,4", 3, f"{AS_LFW}commas, as in line 2", "Ann,1,2,3,4"),
    # two lines a pair: one is missing, one is something else, the labels differ
    ("a.jpg 1\nb.jpg 1\nc.jpg 0", 3, AS_CALFW, "c.jpg 0"),
    ("a.jpg 1\nb.jpg 1\nc.jpg 0\nd.jpg e.jpg", 4, AS_CALFW, "d.jpg e.jpg"),
    ("a.jpg 1\nb.jpg 1\nc.jpg 0\nd.jpg 1", 3, AS_CALFW, "c.jpg 0"),
    # nothing that is known
    ("Ann 1\nBo 2", 1, "two images and whether they show one person, as LFW's 'name i j' or 'name1 i name2 j', "
     "'file file label', 'label file file', CALFW's and CPLFW's 'file label' on two lines a pair", "Ann 1"),
    ("a.jpg b.jpg 7", 1, "two images and whether they show one person, as .*", "a.jpg b.jpg 7")])
def test_what_is_refused(text, number, expected, line):
    expected = expected if expected.endswith(".*") else re.escape(expected)
    with pytest.raises(ValueError, match=rf"^pairs file 'p\.txt', line {number}: expected {expected}, got "
                                         rf"'{re.escape(line)}'\. Mend or remove the line\.$"):
        parse(text, "p.txt")


@pytest.mark.parametrize("text", [
    "Ann,1,2\nAnn,1,Bo,12", "Ann/1.jpg Bo/2.jpg 0", "1\tAnn\\1.jpg\tBo\\x\\2.jpg", "Ann_0001.jpg 0\nBo_1.jpg 0",
    "file,file,label\n/data/x/Ann/1.jpg,C:\\x\\Bo\\1.jpg,False"])
def test_people_are_found_in_each_layout(tmp_path, text):
    """Such as --exclude_people takes: who is in the pairs is not trained on."""
    (tmp_path / "pairs.txt").write_text(text)
    chosen, unknown = people.found(tmp_path / "pairs.txt", ["Ann", "1", "Bo", "x"])
    assert (chosen.tolist(), unknown) == ([True, False, True, False], [])
