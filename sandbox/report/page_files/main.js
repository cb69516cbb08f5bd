// The page, part by part, in the order in which it is read.

recall();
head();
bar();
glance();
claims();
panels();
string();
path();
parallel();
editsSection();
programsSection();
armsTable();
runsTable();
document.getElementById("foot").append(el("p", { text:
  `Made ${DATA.made} by sandbox report. This file holds all that it shows, ${(document.documentElement.outerHTML.length / 1e6).toFixed(2)} MB, and loads nothing.` }));
refresh();
