# Makes the packaged pillion.service of conf/pillion.service: a user and directories that stay.
s|/usr/local/bin/|/usr/sbin/|
s|^# The server runs as a user of its own from the start; .*|# The server runs as a user of its own from the start, which may write to its own directories in /run,|
s|^# socket is the one place where it may write\.|# /var/lib and /var/log, and nowhere else.|
/^DynamicUser=/c\
Group=pillion\
RuntimeDirectory=pillion\
StateDirectory=pillion\
StateDirectoryMode=0750
/^ExecStartPre=.*install -d/d
s|^ReadWritePaths=.*|ReadWritePaths=-/var/log/pillion|
