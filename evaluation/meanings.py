"""What each figure of a report means, in words for whoever reads it."""

MEANINGS = (
    ("row", "Judged by the window that ends at it: no look-ahead, no point adjustment. Rows of a baseline do"
     " not count. A row that cannot be judged raises no alarm, so in a fault it is missed."),
    ("false alarms", "Share of the rows labelled normal that are under alarm. Rows after a fault count too,"
     " when the machine is often still disturbed."),
    ("missed", "Share of the faulty rows that are not under alarm."),
    ("F1", "Of rows, pooled over files. Where faults are frequent an alarm that is always on scores well."),
    ("ROC AUC, PR AUC", "How well the score ranks faulty rows above normal ones, whatever the threshold; mean"
     " over files. A score that knows nothing has 0.5, and the share of faulty rows."),
    ("VUS-PR", "PR AUC that forgives an alarm a little early or late: averaged over tolerances of up to half"
     " a window to each side of a fault (Paparrizos et al. 2022). Mean over files."),
    ("range F1", "Of whole faults and whole alarms; an alarm that flickers is worth less than one that stands"
     " (Tatbul et al. 2018). Mean over files."),
    ("faults found", "Runs of rows with one fault's label in which there is at least one alarm."),
    ("delay", "From the first row of a fault to the first alarm in it, median over the faults found; 0 where"
     " an alarm stood already."),
    ("false alarms raised", "Runs of consecutive alarms that begin on a row labelled normal, over the hours"
     " of rows labelled normal."),
    ("always on", "Calls every row anomalous."),
    ("PCA T²+Q", "Principal components that keep 90 % of the variance; the larger of T² and Q, averaged over"
     " the window, each in units of its 99 % quantile over normal windows."),
    ("mean z²", "Mean of the squared standardised readings of the window. Both leave out the sensors that the"
     " model leaves out."),
)  # fmt: skip
